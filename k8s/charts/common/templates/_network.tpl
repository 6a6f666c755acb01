{{/*
Who may reach a process, and what it may reach. Both are named sets of peers in the values.
*/}}
{{- define "common.network" -}}
{{- $described := include "common.described" . | fromJson -}}
{{- $policy := .root.Values.networkPolicy -}}
{{- $name := include "common.processName" . -}}
{{- if $policy.enabled }}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  name: {{ $name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "common.labels" . | nindent 4 }}
spec:
  podSelector:
    matchLabels:
      {{- include "common.selector" . | nindent 6 }}
  policyTypes:
    - Ingress
    - Egress
  ingress:
    {{- range $set := $described.allowFrom }}
    {{- $peers := get $policy.allowFrom $set }}
    {{- if not $peers }}
    {{- /* An empty list of peers would let everybody in. */}}
    {{- include "common.problem" (dict
          "kind" "NetworkPolicy" "name" $name
          "problem" (printf "nobody is named '%s'" $set)
          "advice" (printf "Name the peers at networkPolicy.allowFrom.%s, or take it out of processes.%s.allowFrom" $set $.process)) }}
    {{- end }}
    - from:
        {{- toYaml $peers | nindent 8 }}
      ports:
        - port: http
          protocol: TCP
    {{- else }}
    []
    {{- end }}
  egress:
    {{- include "common.allowTo" (dict "rules" $policy.allowTo) | trim | nindent 4 }}
{{- end }}
{{- end -}}

{{/*
Egress rules of `rules`, sets of peers by name; a rule without peers leads anywhere at its ports.
*/}}
{{- define "common.allowTo" -}}
{{- range $rule := .rules }}
{{- if $rule }}
- ports:
    {{- range $port := $rule.ports }}
    - port: {{ $port }}
      protocol: TCP
    {{- if $rule.udp }}
    - port: {{ $port }}
      protocol: UDP
    {{- end }}
    {{- end }}
  {{- with $rule.to }}
  to:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end }}
{{- end }}
{{- end -}}
