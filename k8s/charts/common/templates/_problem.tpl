{{/*
Ends the rendering: "Kind 'name': problem. What to do, with the values path."
*/}}
{{- define "common.problem" -}}
{{- fail (printf "%s '%s': %s. %s." .kind .name .problem .advice) -}}
{{- end -}}

{{/*
A process as the values describe it, as JSON.
*/}}
{{- define "common.described" -}}
{{- $described := index .root.Values.processes .process -}}
{{- if not $described -}}
{{- include "common.problem" (dict
      "kind" "Deployment" "name" (include "common.processName" .)
      "problem" "nothing says what it runs"
      "advice" (printf "Describe it at processes.%s" .process)) -}}
{{- end -}}
{{- toJson $described -}}
{{- end -}}
