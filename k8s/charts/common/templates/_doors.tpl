{{- define "common.service" -}}
---
apiVersion: v1
kind: Service
metadata:
  name: {{ include "common.name" . }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "common.labels" . | nindent 4 }}
spec:
  type: ClusterIP
  selector:
    {{- include "common.selector" . | nindent 4 }}
  ports:
    - name: http
      port: {{ .root.Values.listen.port }}
      targetPort: http
      protocol: TCP
      appProtocol: http
{{- end -}}

{{/*
Paths are listed and never `/`: health, version and metrics are nobody's outside.
*/}}
{{- define "common.ingress" -}}
{{- $ingress := .root.Values.ingress -}}
{{- $name := include "common.name" . -}}
{{- if $ingress.enabled }}
{{- if not $ingress.host -}}
{{- include "common.problem" (dict
      "kind" "Ingress" "name" $name
      "problem" "no host is given, so it would answer for every one"
      "advice" "Name the host at ingress.host") -}}
{{- end -}}
{{- if not $ingress.trustedProxies -}}
{{- include "common.problem" (dict
      "kind" "Ingress" "name" $name
      "problem" "all callers would have the address of the ingress controller"
      "advice" "List the controller's addresses or networks at ingress.trustedProxies") -}}
{{- end }}
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata:
  name: {{ $name }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "common.labels" . | nindent 4 }}
  {{- with $ingress.annotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  {{- with $ingress.className }}
  ingressClassName: {{ . }}
  {{- end }}
  {{- with $ingress.tlsSecret }}
  tls:
    - secretName: {{ . }}
      hosts:
        - {{ $ingress.host | quote }}
  {{- end }}
  rules:
    - host: {{ $ingress.host | quote }}
      http:
        paths:
          {{- range $path := $ingress.paths }}
          - path: {{ $path | quote }}
            pathType: Prefix
            backend:
              service:
                name: {{ $name }}
                port:
                  name: http
          {{- end }}
{{- end }}
{{- end -}}
