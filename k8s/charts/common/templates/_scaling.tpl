{{- define "common.autoscaler" -}}
{{- $described := include "common.described" . | fromJson -}}
{{- $scaling := $described.autoscaling -}}
{{- if $scaling.enabled }}
{{- $name := include "common.processName" . -}}
{{- $path := printf "processes.%s" .process -}}
{{- if not (dig "requests" "cpu" "" $described.resources) -}}
{{- include "common.problem" (dict
      "kind" "HorizontalPodAutoscaler" "name" $name
      "problem" "it scales by CPU, of which nothing is requested"
      "advice" (printf "Set %s.resources.requests.cpu, or %s.autoscaling.enabled to false" $path $path)) -}}
{{- end -}}
{{- if gt (int $scaling.minReplicas) (int $scaling.maxReplicas) -}}
{{- include "common.problem" (dict
      "kind" "HorizontalPodAutoscaler" "name" $name
      "problem" "its least is more than its most"
      "advice" (printf "Set %s.autoscaling.maxReplicas to %v or more" $path $scaling.minReplicas)) -}}
{{- end }}
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {{ $name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "common.labels" . | nindent 4 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ $name }}
  minReplicas: {{ $scaling.minReplicas }}
  maxReplicas: {{ $scaling.maxReplicas }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target:
          type: Utilization
          averageUtilization: {{ $scaling.cpuPercent }}
{{- end }}
{{- end -}}

{{/*
`maxUnavailable` and not `minAvailable`: with one replica the latter would hold up a node's drain for ever.
*/}}
{{- define "common.disruption" -}}
{{- $described := include "common.described" . | fromJson -}}
{{- if $described.disruption.enabled }}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: {{ include "common.processName" . }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "common.labels" . | nindent 4 }}
spec:
  maxUnavailable: {{ $described.disruption.maxUnavailable }}
  {{- /* A pod that is not ready serves nobody: a broken release does not hold up a drain. */}}
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "common.selector" . | nindent 6 }}
{{- end }}
{{- end -}}
