{{- define "portcullis.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "portcullis.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- else if contains (include "portcullis.name" .) .Release.Name -}}
{{- .Release.Name | trunc 50 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name (include "portcullis.name" .) | trunc 50 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "portcullis.selector" -}}
app.kubernetes.io/name: {{ include "portcullis.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "portcullis.labels" -}}
{{ include "portcullis.selector" . }}
app.kubernetes.io/version: {{ .Values.image.tag | default .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- define "portcullis.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "portcullis.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- /* The settings: what the values say, and what the chart itself knows. */ -}}
{{- define "portcullis.config" -}}
{{- $console := dict "listen" "0.0.0.0:8470" "token_file" "/etc/portcullis/secret/console.token" -}}
{{- if .Values.console.tlsSecret -}}
{{- $_ := set $console "tls_cert" "/etc/portcullis/tls/tls.crt" -}}
{{- $_ := set $console "tls_key" "/etc/portcullis/tls/tls.key" -}}
{{- else -}}
{{- $_ := set $console "insecure_http" true -}}
{{- end -}}
{{- $service := include "portcullis.fullname" . -}}
{{- $hosts := list $service (printf "%s.%s" $service .Release.Namespace) (printf "%s.%s.svc" $service .Release.Namespace) -}}
{{- if .Values.ingress.enabled -}}
{{- $hosts = append $hosts .Values.ingress.host -}}
{{- end -}}
{{- $_ := set $console "hosts" $hosts -}}
{{- $config := mustMergeOverwrite (dict "console" $console) (deepCopy .Values.config) (dict "state_dir" "/var/lib/portcullis") -}}
{{- toYaml $config -}}
{{- end -}}

{{- /* The pod of a role: (dict "root" $ "role" "detect" "values" .Values.detect "asRoot" false
       "state" VOLUME "volumes" LIST "mounts" LIST "ports" LIST). */ -}}
{{- define "portcullis.pod" -}}
{{- $ := .root -}}
metadata:
  annotations:
    checksum/config: {{ include "portcullis.config" $ | sha256sum }}
    {{- with $.Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  labels:
    {{- include "portcullis.labels" $ | nindent 4 }}
    app.kubernetes.io/component: {{ .role }}
    {{- with $.Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  serviceAccountName: {{ include "portcullis.serviceAccount" $ }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ $.Values.terminationGracePeriodSeconds }}
  {{- with $.Values.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $.Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  securityContext:
    {{- if .asRoot }}
    runAsUser: 0
    {{- else }}
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    {{- end }}
    seccompProfile: {type: RuntimeDefault}
  containers:
    - name: {{ .role }}
      image: {{ printf "%s:%s" $.Values.image.repository ($.Values.image.tag | default $.Chart.AppVersion) | quote }}
      imagePullPolicy: {{ $.Values.image.pullPolicy }}
      args: [{{ .role }}, -c, /etc/portcullis/portcullis.yaml]
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      ports:
        - {name: console, containerPort: 8470, protocol: TCP}
        {{- range .ports }}
        - {name: {{ .name }}, containerPort: {{ .port }}, protocol: {{ get . "protocol" | default "TCP" }}}
        {{- end }}
      {{- $scheme := ternary "HTTPS" "HTTP" (ne $.Values.console.tlsSecret "") }}
      startupProbe:
        httpGet: {path: /healthz, port: console, scheme: {{ $scheme }}}
        periodSeconds: 2
        failureThreshold: 90
      livenessProbe:
        httpGet: {path: /healthz, port: console, scheme: {{ $scheme }}}
        periodSeconds: 10
        timeoutSeconds: 5
        failureThreshold: 6
      readinessProbe:
        httpGet: {path: /readyz, port: console, scheme: {{ $scheme }}}
        periodSeconds: 5
        timeoutSeconds: 5
      resources:
        {{- toYaml .values.resources | nindent 8 }}
      volumeMounts:
        - {name: config, mountPath: /etc/portcullis/portcullis.yaml, subPath: portcullis.yaml, readOnly: true}
        - {name: secret, mountPath: /etc/portcullis/secret, readOnly: true}
        - {name: state, mountPath: /var/lib/portcullis}
        - {name: secret, mountPath: /var/lib/portcullis/installation.key, subPath: installation.key, readOnly: true}
        - {name: tmp, mountPath: /tmp}
        {{- if $.Values.console.tlsSecret }}
        - {name: tls, mountPath: /etc/portcullis/tls, readOnly: true}
        {{- end }}
        {{- range .mounts }}
        - {{ toJson . }}
        {{- end }}
  volumes:
    - name: config
      configMap: {name: {{ include "portcullis.fullname" $ }}}
    - name: secret
      secret: {secretName: {{ $.Values.secret.name }}, defaultMode: 0400}
    - name: tmp
      emptyDir: {}
    {{- with .state }}
    - name: state
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- if $.Values.console.tlsSecret }}
    - name: tls
      secret: {secretName: {{ $.Values.console.tlsSecret }}, defaultMode: 0400}
    {{- end }}
    {{- range .volumes }}
    - {{ toJson . }}
    {{- end }}
  {{- with $.Values.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $.Values.tolerations }}
  tolerations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $.Values.affinity }}
  affinity:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels:
          {{- include "portcullis.selector" $ | nindent 10 }}
          app.kubernetes.io/component: {{ .role }}
{{- end -}}

{{- define "portcullis.meta" -}}
metadata:
  name: {{ include "portcullis.fullname" .root }}{{ with .role }}-{{ . }}{{ end }}
  namespace: {{ .root.Release.Namespace }}
  labels:
    {{- include "portcullis.labels" .root | nindent 4 }}
    {{- with .role }}
    app.kubernetes.io/component: {{ . }}
    {{- end }}
{{- end -}}

{{- define "portcullis.matching" -}}
matchLabels:
  {{- include "portcullis.selector" .root | nindent 2 }}
  app.kubernetes.io/component: {{ .role }}
{{- end -}}
