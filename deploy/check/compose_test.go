package check

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

const composeDir = repo + "/deploy/compose"

func loadCompose(t *testing.T) *types.Project {
	t.Helper()
	dir, err := filepath.Abs(composeDir)
	if err != nil {
		t.Fatal(err)
	}
	project, err := loader.LoadWithContext(context.Background(), types.ConfigDetails{
		WorkingDir:  dir,
		ConfigFiles: []types.ConfigFile{{Filename: filepath.Join(dir, "docker-compose.yaml")}},
		Environment: types.Mapping{},
	})
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// TestCompose reads the file as docker compose does, and wants of every service what
// keeps it apart from the others, and a health check.
func TestCompose(t *testing.T) {
	project := loadCompose(t)
	for _, name := range []string{"nginx", "kafka", "elasticsearch", "kibana", "collect", "detect", "enforce", "console"} {
		s, err := project.GetService(name)
		if err != nil {
			t.Fatal(err)
		}
		if s.HealthCheck == nil || len(s.HealthCheck.Test) < 2 {
			t.Errorf("%s has no health check", name)
		}
		for _, port := range s.Ports {
			if name != "nginx" && port.HostIP != "127.0.0.1" {
				t.Errorf("%s is published beyond loopback: %+v", name, port)
			}
		}
		for on, d := range s.DependsOn {
			needed, err := project.GetService(on)
			if err != nil || d.Condition == types.ServiceConditionHealthy && needed.HealthCheck == nil {
				t.Errorf("%s waits for the health of %s, which has none (%v)", name, on, err)
			}
		}
	}
	if !bool(project.Networks["inside"].Internal) {
		t.Error("the network of Kafka and Elasticsearch, which have no login, is not internal")
	}
}

// TestComposeRoles: the four roles are confined, agree on the settings and the key, and
// keep what they have to.
func TestComposeRoles(t *testing.T) {
	project := loadCompose(t)
	for _, role := range []string{"collect", "detect", "enforce", "console"} {
		s, err := project.GetService(role)
		if err != nil {
			t.Fatal(err)
		}
		if s.Command[0] != role || s.Command[2] != s.Configs[0].Target || s.HealthCheck.Test[1] != "/usr/bin/portcullis" {
			t.Errorf("%s runs %q with settings at %q, health %q", role, s.Command, s.Configs[0].Target, s.HealthCheck.Test)
		}
		root := s.User == "0:0"
		if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || root != (role == "enforce") || !root && len(s.CapAdd) > 0 {
			t.Errorf("%s: read only %v, drops %q, adds %q, user %q", role, s.ReadOnly, s.CapDrop, s.CapAdd, s.User)
		}
		if len(s.Secrets) != 2 || s.Secrets[0].Target != "/var/lib/portcullis/installation.key" {
			t.Errorf("%s gets the secrets %+v", role, s.Secrets)
		}
		if !slices.ContainsFunc(s.Volumes, func(v types.ServiceVolumeConfig) bool { return v.Target == "/var/lib/portcullis" && !v.ReadOnly }) {
			t.Errorf("%s has no folder to write its state to", role)
		}
	}
	for name, secret := range project.Secrets {
		if secret.File == "" || secret.Environment != "" || secret.Content != "" {
			t.Errorf("secret %s is no file", name)
		}
	}
	ignored, err := os.ReadFile(repo + "/.gitignore")
	if err != nil || !strings.Contains(string(ignored), "/deploy/compose/secrets\n") {
		t.Errorf("git does not ignore the secrets (%v)", err)
	}
}

// TestComposeSettings checks what the roles and nginx read.
func TestComposeSettings(t *testing.T) {
	project := loadCompose(t)
	for name, config := range project.Configs {
		text, err := os.ReadFile(config.File)
		if err != nil {
			t.Fatal(err)
		}
		switch name {
		case "portcullis":
			fine(t, config.File, text)
		case "nginx":
			nginxAgrees(t, config.File, string(text))
		default:
			t.Errorf("nothing checks config %s", name)
		}
	}
}

// TestDockerfile: the targets that are built are there, each stage that is copied from
// too, and the image that is built by default has no root and no shell.
func TestDockerfile(t *testing.T) {
	text, err := os.ReadFile(composeDir + "/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	stages := map[string]string{} // its base by name
	last := ""
	for _, m := range regexp.MustCompile(`(?m)^FROM (\S+) AS (\S+)$`).FindAllStringSubmatch(string(text), -1) {
		stages[m[2]], last = m[1], m[2]
	}
	for _, m := range regexp.MustCompile(`--from=(\S+)`).FindAllStringSubmatch(string(text), -1) {
		if stages[m[1]] == "" {
			t.Errorf("copies from %q, which is no stage", m[1])
		}
	}
	for _, s := range loadCompose(t).Services {
		if s.Build != nil && stages[s.Build.Target] == "" {
			t.Errorf("%s builds %q, which is no stage", s.Name, s.Build.Target)
		}
	}
	_, image, _ := strings.Cut(string(text), "AS "+last+"\n")
	if stages[last] != "scratch" || !regexp.MustCompile(`(?m)^USER [1-9][0-9]*:[1-9][0-9]*$`).MatchString(image) {
		t.Errorf("the default image is %q, of %q:\n%s", last, stages[last], image)
	}
	mod, err := os.ReadFile(repo + "/go.mod")
	if err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(string(mod))[1]
	if stages["build"] != "golang:"+version+"-alpine" {
		t.Errorf("builds with %s, go.mod wants %s", stages["build"], version)
	}
}

// TestStackSettings checks the template of deploy/testbed/stack.sh.
func TestStackSettings(t *testing.T) {
	text, err := os.ReadFile(repo + "/deploy/testbed/stack.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text = bytes.ReplaceAll(text, []byte("@KAFKA@"), []byte("127.0.0.1:9092"))
	text = bytes.ReplaceAll(text, []byte("@ELASTIC@"), []byte("http://127.0.0.1:9200"))
	fine(t, "stack.yaml", regexp.MustCompile(`@[A-Z_]+@`).ReplaceAll(text, []byte("/x")))
}
