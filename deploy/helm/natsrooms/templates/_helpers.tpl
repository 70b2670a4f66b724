{{- define "natsrooms.name" -}}
{{- if contains .Chart.Name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name .Chart.Name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "natsrooms.select" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "natsrooms.labels" -}}
{{ include "natsrooms.select" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "natsrooms.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- /* What roomd reads as its configuration file: the settings of the values, and those of the chart. */ -}}
{{- define "natsrooms.settings" -}}
{{- $own := dict "http" "0.0.0.0:9100" -}}
{{- if .Values.nats.url -}}
{{- $_ := set $own "nats" .Values.nats.url -}}
{{- $_ := set $own "image" "/data/image" -}}
{{- if .Values.nats.secret -}}
{{- $_ := set $own "creds" "/etc/roomd/nats/creds" -}}
{{- if .Values.nats.systemCreds -}}
{{- $_ := set $own "system-creds" "/etc/roomd/nats/system-creds" -}}
{{- end -}}
{{- end -}}
{{- else -}}
{{- $_ := set $own "host" "0.0.0.0" -}}
{{- $_ := set $own "port" 4222 -}}
{{- $_ := set $own "store-dir" "/data" -}}
{{- if .Values.natsConfig -}}
{{- $_ := set $own "nats-config" "/etc/roomd/settings/nats.conf" -}}
{{- end -}}
{{- end -}}
{{- if .Values.auth.secret -}}
{{- $_ := set $own "auth-key" "/etc/roomd/auth/key" -}}
{{- if .Values.nats.url -}}
{{- $_ := set $own "auth-issuer" "/etc/roomd/auth/issuer" -}}
{{- if .Values.auth.xkey -}}
{{- $_ := set $own "auth-xkey" "/etc/roomd/auth/xkey" -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if .Values.inspector.secret -}}
{{- $_ := set $own "http-password" "/etc/roomd/inspector/password" -}}
{{- end -}}
{{- if .Values.webhooks.secret -}}
{{- $_ := set $own "webhook-secret" (include "natsrooms.signed" .Values.webhooks.files | fromYamlArray | join ",") -}}
{{- end -}}
{{- if .Values.webhooks.hooks -}}
{{- $hooks := dict -}}
{{- range $name, $hook := .Values.webhooks.hooks -}}
{{- $fields := kindIs "map" $hook | ternary $hook (dict "url" $hook) | deepCopy -}}
{{- if $fields.secret -}}
{{- $_ := set $fields "secret" (include "natsrooms.signed" (kindIs "slice" $fields.secret | ternary $fields.secret (list $fields.secret)) | fromYamlArray) -}}
{{- end -}}
{{- $_ := set $hooks $name $fields -}}
{{- end -}}
{{- $_ := set $own "webhook" $hooks -}}
{{- end -}}
{{- toYaml (merge $own (deepCopy .Values.settings)) -}}
{{- end -}}

{{- /* Where files of webhooks.secret are. */ -}}
{{- define "natsrooms.signed" -}}
{{- range . }}
- /etc/roomd/webhooks/{{ . }}
{{- end }}
{{- end -}}

{{- define "natsrooms.pod" -}}
metadata:
  labels:
    {{- include "natsrooms.labels" . | nindent 4 }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    checksum/settings: {{ printf "%s%s" (include "natsrooms.settings" .) .Values.natsConfig | sha256sum }}
    {{- if .Values.metrics.annotations }}
    prometheus.io/scrape: "true"
    prometheus.io/port: "9100"
    prometheus.io/path: /metrics
    {{- end }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: 60
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 10001
    runAsGroup: 10001
    fsGroup: 10001
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile:
      type: RuntimeDefault
  containers:
    - name: roomd
      image: {{ include "natsrooms.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args: ["--config", "/etc/roomd/settings/roomd.yaml"]
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities:
          drop: ["ALL"]
      ports:
        {{- if not .Values.nats.url }}
        - name: nats
          containerPort: 4222
        {{- with .Values.service.websocketPort }}
        - name: websocket
          containerPort: {{ . }}
        {{- end }}
        {{- end }}
        - name: http
          containerPort: 9100
      # healthz answers during a start too, which takes as long as reading what is stored.
      livenessProbe:
        httpGet: { path: /healthz, port: http }
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: { path: /readyz, port: http }
        periodSeconds: 10
        timeoutSeconds: 10
        failureThreshold: 2
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      volumeMounts:
        - name: data
          mountPath: /data
        - name: settings
          mountPath: /etc/roomd/settings
          readOnly: true
        {{- if and .Values.nats.url .Values.nats.secret }}
        - name: nats
          mountPath: /etc/roomd/nats
          readOnly: true
        {{- end }}
        {{- if .Values.auth.secret }}
        - name: auth
          mountPath: /etc/roomd/auth
          readOnly: true
        {{- end }}
        {{- if .Values.inspector.secret }}
        - name: inspector
          mountPath: /etc/roomd/inspector
          readOnly: true
        {{- end }}
        {{- if .Values.webhooks.secret }}
        - name: webhooks
          mountPath: /etc/roomd/webhooks
          readOnly: true
        {{- end }}
  {{- with .Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with .Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if .Values.nats.url }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "natsrooms.select" . | nindent 10 }}
  {{- end }}
  volumes:
    - name: settings
      secret:
        secretName: {{ include "natsrooms.name" . }}
        defaultMode: 0440
    {{- if .Values.nats.url }}
    - name: data
      emptyDir: {}
    {{- end }}
    {{- if and .Values.nats.url .Values.nats.secret }}
    - name: nats
      secret:
        secretName: {{ .Values.nats.secret }}
        defaultMode: 0440
    {{- end }}
    {{- if .Values.auth.secret }}
    - name: auth
      secret:
        secretName: {{ .Values.auth.secret }}
        defaultMode: 0440
    {{- end }}
    {{- if .Values.inspector.secret }}
    - name: inspector
      secret:
        secretName: {{ .Values.inspector.secret }}
        defaultMode: 0440
    {{- end }}
    {{- if .Values.webhooks.secret }}
    - name: webhooks
      secret:
        secretName: {{ .Values.webhooks.secret }}
        defaultMode: 0440
    {{- end }}
{{- end -}}
