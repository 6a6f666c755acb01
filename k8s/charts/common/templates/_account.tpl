{{/*
Nothing of ours asks Kubernetes for anything, so there is no token.
*/}}
{{- define "common.account" -}}
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ include "common.name" . }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "common.labels" . | nindent 4 }}
  {{- with .root.Values.serviceAccount.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
automountServiceAccountToken: false
{{- end -}}
