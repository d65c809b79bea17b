package check

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// nginxAgrees has a real nginx test a configuration whose folders are moved below a
// temporary one, with the include files as "prepare" makes them.
func nginxAgrees(t *testing.T, what, conf string) {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("SKIPPED: apt-get install nginx-light")
	}
	dir := t.TempDir()
	for _, folder := range []string{"/etc/nginx/portcullis", "/var/log/gateway", "/run/gateway"} {
		moved := filepath.Join(dir, folder)
		if err := os.MkdirAll(moved, 0o755); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(conf, folder+"/") {
			t.Errorf("%s: nginx uses nothing in %s, which is shared for it", what, folder)
		}
		conf = strings.ReplaceAll(conf, folder+"/", moved+"/")
	}
	for _, name := range []string{"portcullis-server.conf", "portcullis-http.conf"} {
		if err := os.WriteFile(filepath.Join(dir, "/etc/nginx/portcullis", name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	// The image's user, and its temporary folders, are not on every machine.
	conf = strings.Replace(conf, "user nginx;", "", 1)
	temp := "http {\n"
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		temp += kind + "_temp_path " + filepath.Join(dir, kind) + ";\n"
	}
	conf = strings.Replace(conf, "http {\n", temp, 1)
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		t.Fatal(err)
	}
	if said, err := exec.Command(program, "-t", "-q", "-e", "stderr", "-c", file).CombinedOutput(); err != nil {
		t.Errorf("%s: nginx -t: %v\n%s\n%s", what, err, said, conf)
	}
}
