{{/*
Brings the database to the image's schema before anything of the release starts. Each chart has it:
whoever comes first migrates, the others wait for the lock and find it done.
*/}}
{{- define "common.migration" -}}
{{- $migration := .root.Values.migration -}}
{{- $this := dict "root" .root "process" "migration" -}}
{{- if $migration.enabled }}
{{- if .root.Values.networkPolicy.enabled }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ include "common.processName" $this }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "common.labels" $this | nindent 4 }}
  annotations:
    {{- include "common.migrationHook" (dict "weight" "-10") | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      {{- include "common.selector" $this | nindent 6 }}
  policyTypes:
    - Ingress
    - Egress
  ingress: []
  egress:
    {{- include "common.allowTo" (dict "rules" (pick .root.Values.networkPolicy.allowTo "dns" "postgres")) | trim | nindent 4 }}
{{- end }}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ include "common.processName" $this }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "common.labels" $this | nindent 4 }}
  annotations:
    {{- include "common.migrationHook" (dict "weight" "0") | nindent 4 }}
spec:
  backoffLimit: 3
  activeDeadlineSeconds: {{ $migration.deadlineSeconds }}
  template:
    metadata:
      labels:
        {{- include "common.podLabels" $this | nindent 8 }}
    spec:
      {{- /* The release's own ServiceAccount does not exist yet when this runs first. */}}
      serviceAccountName: default
      restartPolicy: Never
      {{- include "common.podDefaults" $this | nindent 6 }}
      containers:
        - name: migration
          {{- include "common.containerDefaults" $this | nindent 10 }}
          args:
            - database
            - upgrade
          env:
            - name: DATABASE_URL
              {{- include "common.secret" $migration.secret | nindent 14 }}
          resources:
            {{- toYaml $migration.resources | nindent 12 }}
          volumeMounts:
            - name: tmp
              mountPath: /tmp
      volumes:
        - name: tmp
          emptyDir:
            sizeLimit: 64Mi
{{- end }}
{{- end -}}

{{- define "common.migrationHook" -}}
helm.sh/hook: pre-install,pre-upgrade
helm.sh/hook-weight: {{ .weight | quote }}
{{- /* Helm itself never takes hooks down, not even when the release goes. */}}
helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
{{- end -}}
