{{/*
Everything that one process needs, whichever it is.
*/}}
{{- define "common.process" -}}
{{ include "common.deployment" . }}
{{ include "common.autoscaler" . }}
{{ include "common.disruption" . }}
{{ include "common.network" . }}
{{- end -}}

{{- define "common.deployment" -}}
{{- $described := include "common.described" . | fromJson -}}
{{- if le (int $described.stopSeconds) (int $described.drainSeconds) -}}
{{- include "common.problem" (dict
      "kind" "Deployment" "name" (include "common.processName" .)
      "problem" "it would be killed before it could end what is under way"
      "advice" (printf "Set processes.%s.stopSeconds to more than processes.%s.drainSeconds" .process .process)) -}}
{{- end -}}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "common.processName" . }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "common.labels" . | nindent 4 }}
spec:
  {{- /* What the autoscaler has set stays: a number here would undo it at each upgrade. */}}
  {{- if not $described.autoscaling.enabled }}
  replicas: {{ $described.replicas }}
  {{- end }}
  revisionHistoryLimit: 5
  selector:
    matchLabels:
      {{- include "common.selector" . | nindent 6 }}
  strategy:
    type: RollingUpdate
    rollingUpdate:
      maxSurge: 1
      maxUnavailable: 0
  template:
    metadata:
      labels:
        {{- include "common.podLabels" . | nindent 8 }}
      {{- with .root.Values.podAnnotations }}
      annotations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
    spec:
      serviceAccountName: {{ include "common.name" . }}
      terminationGracePeriodSeconds: {{ $described.stopSeconds }}
      {{- include "common.podDefaults" . | nindent 6 }}
      {{- with include "common.spread" . }}
      {{- . | nindent 6 }}
      {{- end }}
      containers:
        - name: {{ .process }}
          {{- include "common.containerDefaults" . | nindent 10 }}
          args:
            {{- toYaml $described.args | nindent 12 }}
          env:
            {{- include "common.environment" . | nindent 12 }}
          ports:
            - name: http
              containerPort: {{ .root.Values.listen.port }}
              protocol: TCP
          {{- include "common.probes" . | nindent 10 }}
          {{- with $described.drainSeconds }}
          lifecycle:
            preStop:
              {{- /* Requests still come while the endpoint is being taken out everywhere. */}}
              sleep:
                seconds: {{ . }}
          {{- end }}
          resources:
            {{- toYaml $described.resources | nindent 12 }}
          volumeMounts:
            - name: tmp
              mountPath: /tmp
            {{- with include "common.fileMounts" . | trim }}
            {{- . | nindent 12 }}
            {{- end }}
      volumes:
        - name: tmp
          emptyDir:
            sizeLimit: 64Mi
        {{- with include "common.fileVolumes" . | trim }}
        {{- . | nindent 8 }}
        {{- end }}
{{- end -}}
