package console_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// browser is a Chromium spoken to over its debugging pipe (file descriptors 3
// and 4, messages ended by NUL): real layout, real policy, no driver.
type browser struct {
	t       testing.TB
	out     *os.File
	in      *bufio.Reader
	id      int
	session string
	faults  []string // what the page threw or was refused
}

// chromium starts the browser, or skips loudly.
func chromium(t testing.TB) *browser {
	t.Helper()
	name := ""
	for _, n := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if found, err := exec.LookPath(n); err == nil {
			name = found
			break
		}
	}
	if name == "" {
		message := "SKIPPED: the console was not looked at in a browser: apt-get install chromium"
		if os.Getenv("CI") == "true" {
			t.Fatal(message)
		}
		t.Skip(message)
	}
	theirIn, ourOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ourIn, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(name, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--disable-dev-shm-usage",
		"--remote-debugging-pipe", "--user-data-dir="+t.TempDir(), "about:blank")
	cmd.ExtraFiles = []*os.File{theirIn, theirOut}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirIn.Close()
	theirOut.Close()
	b := &browser{t: t, out: ourOut, in: bufio.NewReaderSize(ourIn, 1<<20)}
	t.Cleanup(func() {
		ourOut.Close() // it ends when nobody is left to talk to
		impatient := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
		_, _ = io.Copy(io.Discard, ourIn)
		_ = cmd.Wait() // with whatever status
		impatient.Stop()
		ourIn.Close()
	})
	if err := ourIn.SetReadDeadline(time.Now().Add(90 * time.Second)); err != nil {
		t.Fatal(err)
	}
	target := b.call("", "Target.createTarget", map[string]any{"url": "about:blank"})["targetId"]
	b.session, _ = b.call("", "Target.attachToTarget", map[string]any{"targetId": target, "flatten": true})["sessionId"].(string)
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		b.call(b.session, domain+".enable", nil)
	}
	return b
}

// call sends a command and returns its result.
func (b *browser) call(session, method string, params map[string]any) map[string]any {
	b.t.Helper()
	b.id++
	message := map[string]any{"id": b.id, "method": method, "params": params}
	if params == nil {
		delete(message, "params")
	}
	if session != "" {
		message["sessionId"] = session
	}
	data, err := json.Marshal(message)
	if err == nil {
		_, err = b.out.Write(append(data, 0))
	}
	if err != nil {
		b.t.Fatalf("chromium: %s: %v", method, err)
	}
	for {
		line, err := b.in.ReadBytes(0)
		if err != nil {
			b.t.Fatalf("chromium: %s: %v", method, err)
		}
		var m struct {
			ID     int
			Method string
			Result map[string]any
			Params json.RawMessage
			Error  *struct{ Message string }
		}
		if err := json.Unmarshal(line[:len(line)-1], &m); err != nil {
			b.t.Fatalf("chromium: %v", err)
		}
		switch {
		case m.Method == "Runtime.exceptionThrown" || m.Method == "Log.entryAdded":
			b.faults = append(b.faults, string(m.Params))
		case m.ID == b.id && m.Error != nil:
			b.t.Fatalf("chromium: %s: %s", method, m.Error.Message)
		case m.ID == b.id:
			return m.Result
		}
	}
}

// eval runs JavaScript in the page and returns its value; promises are awaited.
func (b *browser) eval(script string) any {
	b.t.Helper()
	got := b.call(b.session, "Runtime.evaluate", map[string]any{
		"expression": script, "returnByValue": true, "awaitPromise": true, "userGesture": true,
	})
	if fault, ok := got["exceptionDetails"]; ok {
		b.t.Fatalf("chromium: %.200s: %v", script, fault)
	}
	value, _ := got["result"].(map[string]any)
	return value["value"]
}

// until waits in the page, for at most ten seconds, until an expression is true.
func (b *browser) until(what, condition string) {
	b.t.Helper()
	ok := b.eval(`new Promise((done) => { const end = Date.now() + 10000; const look = () => { let ok = false;
		try { ok = !!(` + condition + `); } catch {}
		if (ok || Date.now() > end) done(ok); else setTimeout(look, 20); }; look(); })`)
	if ok != true {
		b.t.Fatalf("the page never showed: %s\nfaults: %s", what, strings.Join(b.faults, "\n"))
	}
}

// window gives the window a size and colours.
func (b *browser) window(width, height int, dark bool) {
	b.t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	b.call(b.session, "Emulation.setDeviceMetricsOverride", map[string]any{
		"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500,
	})
	b.call(b.session, "Emulation.setEmulatedMedia", map[string]any{
		"features": []map[string]any{{"name": "prefers-color-scheme", "value": scheme}},
	})
}

// visit opens an address in a window of the size and waits for the document.
func (b *browser) visit(url string, width, height int, dark bool) {
	b.t.Helper()
	b.window(width, height, dark)
	b.call(b.session, "Page.navigate", map[string]any{"url": url})
	b.until("the document", fmt.Sprintf(`document.readyState === "complete" && location.href.startsWith(%q)`, url))
}

// key presses a key and lets it go.
func (b *browser) key(name string, code int) {
	b.t.Helper()
	text := ""
	if name == "Enter" {
		text = "\r"
	}
	for _, kind := range []string{"keyDown", "keyUp"} {
		b.call(b.session, "Input.dispatchKeyEvent", map[string]any{
			"type": kind, "key": name, "code": name, "windowsVirtualKeyCode": code, "text": text,
		})
	}
}

// shot writes a picture of the window.
func (b *browser) shot(file string, whole bool) {
	b.t.Helper()
	got := b.call(b.session, "Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": whole})
	data, err := base64.StdEncoding.DecodeString(fmt.Sprint(got["data"]))
	if err == nil {
		err = os.WriteFile(file, data, 0o644)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}
