package check

import (
	"slices"
	"strings"
	"testing"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
)

// pod is what a workload makes, and what it selects.
type pod struct {
	name     string
	selector *meta.LabelSelector
	template core.PodTemplateSpec
	claims   []string // volumes that the workload adds
}

func podsOf(list []any) []pod {
	var pods []pod
	for _, o := range list {
		switch w := o.(type) {
		case *apps.DaemonSet:
			pods = append(pods, pod{w.Name, w.Spec.Selector, w.Spec.Template, nil})
		case *apps.Deployment:
			pods = append(pods, pod{w.Name, w.Spec.Selector, w.Spec.Template, nil})
		case *apps.StatefulSet:
			p := pod{w.Name, w.Spec.Selector, w.Spec.Template, nil}
			for _, c := range w.Spec.VolumeClaimTemplates {
				p.claims = append(p.claims, c.Name)
			}
			pods = append(pods, p)
		}
	}
	return pods
}

// together checks what no type says: that things select each other, and that the pods
// are confined.
func together(t *testing.T, pods []pod, list []any) {
	t.Helper()
	for _, p := range pods {
		if p.count(t, p.selector) != 1 {
			t.Errorf("%s does not select its own pods", p.name)
		}
		mounted(t, p)
		confined(t, p)
	}
	for _, o := range list {
		switch o := o.(type) {
		case *core.Service:
			serves(t, o, pods)
		case *policy.PodDisruptionBudget:
			if matching(t, o.Spec.Selector, pods) != 1 {
				t.Errorf("the budget %s selects not one workload", o.Name)
			}
		case *networking.NetworkPolicy:
			if matching(t, &o.Spec.PodSelector, pods) == 0 {
				t.Errorf("the policy %s selects nothing", o.Name)
			}
		}
	}
}

func (p pod) count(t *testing.T, s *meta.LabelSelector) int {
	t.Helper()
	selector, err := meta.LabelSelectorAsSelector(s)
	if err != nil {
		t.Fatal(err)
	}
	if !selector.Empty() && selector.Matches(labels.Set(p.template.Labels)) {
		return 1
	}
	return 0
}

func matching(t *testing.T, s *meta.LabelSelector, pods []pod) int {
	t.Helper()
	n := 0
	for _, p := range pods {
		n += p.count(t, s)
	}
	return n
}

// serves: a service selects one workload, and its ports are ports of that one's pods.
func serves(t *testing.T, s *core.Service, pods []pod) {
	t.Helper()
	n := 0
	for _, p := range pods {
		if !labels.SelectorFromSet(s.Spec.Selector).Matches(labels.Set(p.template.Labels)) {
			continue
		}
		n++
		for _, port := range s.Spec.Ports {
			if !slices.ContainsFunc(p.template.Spec.Containers[0].Ports, func(c core.ContainerPort) bool { return c.Name == port.TargetPort.String() }) {
				t.Errorf("the service %s leads to the port %s, which %s has not", s.Name, port.TargetPort.String(), p.name)
			}
		}
	}
	if n != 1 || len(validation.IsDNS1035Label(s.Name)) > 0 {
		t.Errorf("the service %q selects %d workloads", s.Name, n)
	}
}

// mounted: each volume is mounted, and what is mounted is there.
func mounted(t *testing.T, p pod) {
	t.Helper()
	volumes := slices.Clone(p.claims)
	for _, v := range p.template.Spec.Volumes {
		volumes = append(volumes, v.Name)
	}
	used := map[string]bool{}
	for _, c := range slices.Concat(p.template.Spec.InitContainers, p.template.Spec.Containers) {
		for _, m := range c.VolumeMounts {
			used[m.Name] = true
			if !slices.Contains(volumes, m.Name) {
				t.Errorf("%s/%s mounts %s, which is no volume", p.name, c.Name, m.Name)
			}
		}
	}
	for _, v := range p.template.Spec.Volumes {
		if v.Secret != nil && (v.Secret.DefaultMode == nil || *v.Secret.DefaultMode != 0o400) {
			t.Errorf("%s: others can read the secret %s", p.name, v.Secret.SecretName)
		}
	}
	for _, v := range volumes {
		if !used[v] {
			t.Errorf("%s has a volume %s that nobody mounts", p.name, v)
		}
	}
}

// confined: no root but for the collector that reads the node's log, no capability, a
// root file system that nobody writes to, probes, and the same key everywhere.
func confined(t *testing.T, p pod) {
	t.Helper()
	spec := p.template.Spec
	root := spec.SecurityContext.RunAsNonRoot == nil || !*spec.SecurityContext.RunAsNonRoot
	node := slices.ContainsFunc(spec.Volumes, func(v core.Volume) bool { return v.HostPath != nil })
	if root != node || spec.AutomountServiceAccountToken == nil || *spec.AutomountServiceAccountToken {
		t.Errorf("%s: root %v, folders of the node %v, a token of the API", p.name, root, node)
	}
	c := spec.Containers[0]
	s := c.SecurityContext
	if *s.AllowPrivilegeEscalation || !*s.ReadOnlyRootFilesystem || len(s.Capabilities.Drop) != 1 || s.Capabilities.Drop[0] != "ALL" || len(s.Capabilities.Add) > 0 {
		t.Errorf("%s may do too much: %+v", p.name, s)
	}
	if c.StartupProbe == nil || c.LivenessProbe == nil || c.ReadinessProbe == nil || c.ReadinessProbe.HTTPGet.Path != "/readyz" {
		t.Errorf("%s is not probed", p.name)
	}
	if !slices.ContainsFunc(c.VolumeMounts, func(m core.VolumeMount) bool { return strings.HasSuffix(m.MountPath, "/installation.key") }) {
		t.Errorf("%s would make a key of its own", p.name)
	}
	if len(c.Resources.Requests) == 0 || len(c.Resources.Limits) == 0 {
		t.Errorf("%s has no bounds", p.name)
	}
}
