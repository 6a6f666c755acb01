{{/*
What things are called. Kubernetes allows 63 characters; ours leave room for what is appended.
*/}}
{{- define "common.name" -}}
{{- $name := .root.Chart.Name -}}
{{- if not (contains $name .root.Release.Name) -}}
{{- $name = printf "%s-%s" .root.Release.Name $name -}}
{{- else -}}
{{- $name = .root.Release.Name -}}
{{- end -}}
{{- $name | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "common.processName" -}}
{{- printf "%s-%s" (include "common.name" .) .process -}}
{{- end -}}

{{/*
The only labels that a selector may use: a Deployment's selector cannot be changed, so nothing that
an upgrade changes (a version, a label of the operator's) may stand in it.
*/}}
{{- define "common.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .process }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end -}}

{{- define "common.labels" -}}
{{ include "common.selector" . }}
app.kubernetes.io/part-of: mainstem
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end -}}

{{/*
A pod carries no version of the chart: an upgrade that changes nothing of it restarts nothing.
*/}}
{{- define "common.podLabels" -}}
{{ include "common.selector" . }}
app.kubernetes.io/part-of: mainstem
{{- with .root.Values.podLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}
