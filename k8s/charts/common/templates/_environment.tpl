{{/*
What a process is told, under the names that its `settings.py` reads: plain settings, secrets by
reference, and the paths of mounted files. HOSTNAME, the pod's name, comes from Kubernetes.
*/}}
{{- define "common.environment" -}}
{{- $values := .root.Values -}}
- name: MAINSTEM_HOST
  value: {{ $values.listen.host | quote }}
- name: MAINSTEM_PORT
  value: {{ $values.listen.port | toJson | quote }}
{{- with include "common.trustedProxies" . }}
- name: FORWARDED_ALLOW_IPS
  value: {{ . | quote }}
{{- end }}
{{- range $name, $value := $values.settings }}
{{- if not (kindIs "invalid" $value) }}
- name: {{ $name }}
  {{- /* As JSON, since a large number would become 1e+06 otherwise. */}}
  value: {{ ternary $value (toJson $value) (kindIs "string" $value) | quote }}
{{- end }}
{{- end }}
{{- range $name, $secret := $values.secrets }}
{{- if $secret }}
- name: {{ $name }}
  {{- include "common.secret" $secret | nindent 2 }}
{{- end }}
{{- end }}
{{- range $name, $file := $values.files }}
{{- if $file }}
- name: {{ $name }}
  value: {{ include "common.filePath" (dict "variable" $name "file" $file) }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "common.secret" -}}
valueFrom:
  secretKeyRef:
    name: {{ .name }}
    key: {{ .key }}
{{- end -}}

{{/*
Whose X-Forwarded-For is believed: the ingress' only, and only where there is one.
*/}}
{{- define "common.trustedProxies" -}}
{{- $ingress := .root.Values.ingress | default dict -}}
{{- if and $ingress.enabled (eq .process "http") -}}
{{- join "," $ingress.trustedProxies -}}
{{- end -}}
{{- end -}}
