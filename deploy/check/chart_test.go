package check

import (
	"bytes"
	"fmt"
	"os"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	"sigs.k8s.io/yaml"
)

const chartDir = repo + "/deploy/helm/portcullis"

// render renders the chart with Helm's own engine, as "helm template" does.
func render(values string) (map[string]string, error) {
	c, err := loader.Load(chartDir)
	if err != nil {
		return nil, err
	}
	given, err := chartutil.ReadValues([]byte(values))
	if err != nil {
		return nil, err
	}
	options := chartutil.ReleaseOptions{Name: "portcullis", Namespace: "guard", IsInstall: true}
	all, err := chartutil.ToRenderValues(c, given, options, chartutil.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	e := engine.Engine{Strict: true}
	return e.Render(c, all)
}

// objects decodes every document strictly as what it says it is.
func objects(t *testing.T, files map[string]string) []any {
	t.Helper()
	var list []any
	for name, text := range files {
		if !strings.HasSuffix(name, ".yaml") {
			continue
		}
		for _, doc := range strings.Split("\n"+text, "\n---\n") {
			if strings.TrimSpace(doc) != "" {
				list = append(list, object(t, name, doc))
			}
		}
	}
	return list
}

func object(t *testing.T, name, doc string) any {
	t.Helper()
	var head struct{ APIVersion, Kind string }
	if err := yaml.Unmarshal([]byte(doc), &head); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, doc)
	}
	kinds := map[string]any{
		"v1 ConfigMap": new(core.ConfigMap), "v1 Service": new(core.Service), "v1 ServiceAccount": new(core.ServiceAccount),
		"apps/v1 DaemonSet": new(apps.DaemonSet), "apps/v1 StatefulSet": new(apps.StatefulSet), "apps/v1 Deployment": new(apps.Deployment),
		"networking.k8s.io/v1 Ingress": new(networking.Ingress), "networking.k8s.io/v1 NetworkPolicy": new(networking.NetworkPolicy),
		"policy/v1 PodDisruptionBudget": new(policy.PodDisruptionBudget), "monitoring.coreos.com/v1 PodMonitor": new(monitoring.PodMonitor),
	}
	into, ok := kinds[head.APIVersion+" "+head.Kind]
	if !ok {
		t.Fatalf("%s: nothing is known of %+v\n%s", name, head, doc)
	}
	if err := yaml.UnmarshalStrict([]byte(doc), into); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, doc)
	}
	return into
}

// variants are values that bring every branch of the templates to light.
var variants = map[string]struct {
	values string
	kinds  map[string]int // how many of each
}{
	"default": {"{}", map[string]int{"DaemonSet": 1, "Deployment": 3, "PodDisruptionBudget": 2, "NetworkPolicy": 1, "Service": 1, "ServiceAccount": 1, "ConfigMap": 1}},
	"everything": {`
image: {tag: "1.2.3"}
imagePullSecrets: [{name: registry}]
priorityClassName: system-cluster-critical
podAnnotations: {a: b}
podLabels: {team: gate}
nodeSelector: {kubernetes.io/os: linux}
tolerations: [{operator: Exists}]
affinity: {nodeAffinity: {preferredDuringSchedulingIgnoredDuringExecution: []}}
serviceAccount: {annotations: {a: b}}
collect: {kind: statefulset, storageClassName: fast, ports: [{name: syslog, port: 6514}, {name: dns, port: 5514, protocol: UDP}]}
console: {replicas: 2, tlsSecret: console-tls}
ingress: {enabled: true, className: nginx, tlsSecret: web-tls, annotations: {a: b}}
networkPolicy: {consoleFrom: [{namespaceSelector: {}}], egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}
podMonitor: {enabled: true, labels: {release: prometheus}}
`, map[string]int{"StatefulSet": 1, "Deployment": 3, "PodDisruptionBudget": 3, "NetworkPolicy": 2, "Service": 2, "ServiceAccount": 1, "ConfigMap": 1, "Ingress": 1, "PodMonitor": 1}},
	"little": {`
collect: {enabled: false}
enforce: {enabled: false}
console: {enabled: false}
detect: {replicas: 1}
serviceAccount: {create: false}
networkPolicy: {enabled: false}
podDisruptionBudget: {enabled: false}
`, map[string]int{"Deployment": 1, "ConfigMap": 1}},
	"statefulset without ports": {"collect: {kind: statefulset}", map[string]int{"StatefulSet": 1, "Deployment": 3, "PodDisruptionBudget": 2, "NetworkPolicy": 1, "Service": 2, "ServiceAccount": 1, "ConfigMap": 1}},
}

func TestChart(t *testing.T) {
	for name, v := range variants {
		t.Run(name, func(t *testing.T) {
			files, err := render(v.values)
			if err != nil {
				t.Fatal(err)
			}
			kinds := map[string]int{}
			list := objects(t, files)
			for _, o := range list {
				_, kind, _ := strings.Cut(fmt.Sprintf("%T", o), ".")
				kinds[kind]++
				if c, ok := o.(*core.ConfigMap); ok {
					fine(t, "the chart's ConfigMap", []byte(c.Data["portcullis.yaml"]))
				}
			}
			if fmt.Sprint(kinds) != fmt.Sprint(v.kinds) {
				t.Errorf("rendered %v, want %v", kinds, v.kinds)
			}
			together(t, podsOf(list), list)
		})
	}
}

// TestValues: what is wrong in the values is refused, by the schema.
func TestValues(t *testing.T) {
	for _, wrong := range []string{
		"detekt: {}", "detect: {replicas: 0}", "collect: {kind: deployment}", "collect: {logs: relative}",
		"config: {kafka: {enabled: false}}", "config: {kafka: {brokers: [noport]}}", "secret: {name: ''}", "enforce: {replicas: two}",
	} {
		if _, err := render(wrong); err == nil || !strings.Contains(err.Error(), "specifications of the schema") {
			t.Errorf("%s: %v", wrong, err)
		}
	}
}

// TestSidecarExample decodes the example and checks the nginx in it.
func TestSidecarExample(t *testing.T) {
	text, err := os.ReadFile(repo + "/deploy/helm/examples/nginx-sidecar.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var list []any
	for _, doc := range bytes.Split(text, []byte("\n---\n")) {
		o := object(t, "nginx-sidecar.yaml", string(doc))
		list = append(list, o)
		if c, ok := o.(*core.ConfigMap); ok {
			nginxAgrees(t, "nginx-sidecar.yaml", c.Data["nginx.conf"])
		}
	}
	for _, p := range podsOf(list) {
		mounted(t, p)
	}
	_, values, _ := strings.Cut(string(text), "with these values:\n#\n")
	values, _, _ = strings.Cut(values, "\n#\n# One replica")
	files, err := render(strings.ReplaceAll(values, "#   ", ""))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range objects(t, files) {
		if c, ok := o.(*core.ConfigMap); ok {
			if !strings.Contains(c.Data["portcullis.yaml"], "/etc/gateway/nginx.conf") {
				t.Errorf("the values of the comment came to nothing:\n%s", c.Data["portcullis.yaml"])
			}
			fine(t, "the example's values", []byte(c.Data["portcullis.yaml"]))
		}
	}
}
