{{/*
What every pod of ours is: nobody in particular, without rights, without a token.
*/}}
{{- define "common.podDefaults" -}}
automountServiceAccountToken: false
enableServiceLinks: false
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile:
    type: RuntimeDefault
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "common.containerDefaults" -}}
{{- $image := .root.Values.image -}}
{{- if $image.digest -}}
image: {{ printf "%s@%s" $image.repository $image.digest }}
{{- else -}}
image: {{ printf "%s:%s" $image.repository ($image.tag | default .root.Chart.AppVersion) }}
{{- end }}
imagePullPolicy: {{ $image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities:
    drop:
      - ALL
{{- end -}}

{{- define "common.spread" -}}
{{- with .root.Values.spreadAcross -}}
topologySpreadConstraints:
  {{- range . }}
  - topologyKey: {{ . }}
    maxSkew: 1
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "common.selector" $ | nindent 8 }}
    {{- /* The pods of the release that goes away do not count. */}}
    matchLabelKeys:
      - pod-template-hash
  {{- end }}
{{- end }}
{{- end -}}

{{/*
The health contract: alive is not ready. A pod that is alive but not ready (Postgres is away) gets no
requests, and is not restarted: that would mend nothing.
*/}}
{{- define "common.probes" -}}
startupProbe:
  httpGet:
    path: /__lbheartbeat__
    port: http
  periodSeconds: 1
  timeoutSeconds: 2
  {{- /* A process waits half a minute for Postgres and its schema before it gives up. */}}
  failureThreshold: 60
livenessProbe:
  httpGet:
    path: /__lbheartbeat__
    port: http
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
readinessProbe:
  httpGet:
    path: /__heartbeat__
    port: http
  periodSeconds: 5
  timeoutSeconds: 5
  failureThreshold: 2
{{- end -}}
