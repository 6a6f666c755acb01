{{/*
Settings that are files: one key of a Secret or ConfigMap, mounted alone.
*/}}
{{- define "common.fileName" -}}
{{- .variable | lower | replace "_" "-" -}}
{{- end -}}

{{- define "common.filePath" -}}
{{- printf "/etc/mainstem/%s/%s" (include "common.fileName" .) .file.key -}}
{{- end -}}

{{- define "common.fileMounts" -}}
{{- range $variable, $file := .root.Values.files }}
{{- if $file }}
- name: {{ include "common.fileName" (dict "variable" $variable) }}
  mountPath: /etc/mainstem/{{ include "common.fileName" (dict "variable" $variable) }}
  readOnly: true
{{- end }}
{{- end }}
{{- end -}}

{{- define "common.fileVolumes" -}}
{{- range $variable, $file := .root.Values.files }}
{{- if $file }}
- name: {{ include "common.fileName" (dict "variable" $variable) }}
  {{- if $file.secret }}
  secret:
    secretName: {{ $file.secret }}
  {{- else }}
  configMap:
    name: {{ $file.configMap }}
  {{- end }}
    defaultMode: 288 # 0440: the group is the pod's
    items:
      - key: {{ $file.key }}
        path: {{ $file.key }}
{{- end }}
{{- end }}
{{- end -}}
