package syslog_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/portcullis/portcullis/ingest"
	"github.com/portcullis/portcullis/ingest/source/serve/servetest"
	"github.com/portcullis/portcullis/ingest/source/spool"
	"github.com/portcullis/portcullis/ingest/source/syslog"
)

// childEnv makes the test binary a receiver: address, spool, certificates.
const childEnv = "PORTCULLIS_TEST_SYSLOG"

func TestMain(m *testing.M) {
	if args := os.Getenv(childEnv); args != "" {
		if err := child(strings.Split(args, ",")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// child receives into a spool until it is killed.
func child(args []string) error {
	s, err := spool.Open(spool.Config{Dir: args[1], Name: "gw", Segment: 256 << 10, Sync: time.Second, Log: quiet})
	if err != nil {
		return err
	}
	r, err := syslog.New(syslog.Config{Listen: []string{args[0]}, Cert: args[2], Key: args[3], Log: quiet})
	if err != nil {
		return err
	}
	go func() {
		<-r.Listening()
		fmt.Println(r.Addr()[0])
	}()
	return r.Serve(context.Background(), slow{s})
}

// slow widens the moment in which a message was read and is not stored yet.
type slow struct{ spool.Intake }

func (s slow) Append(lines []byte) error {
	<-time.After(time.Millisecond)
	return s.Intake.Append(lines)
}

// receiver is the child, started again after each kill at the same address.
type receiver struct {
	t     *testing.T
	args  []string
	where string
	cmd   *exec.Cmd
}

func (r *receiver) start() {
	r.t.Helper()
	r.cmd = exec.Command(os.Args[0])
	r.cmd.Env = append(os.Environ(), childEnv+"="+strings.Join(r.args, ","))
	r.cmd.Stderr = os.Stderr
	out, err := r.cmd.StdoutPipe()
	if err == nil {
		err = r.cmd.Start()
	}
	if err != nil {
		r.t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		r.t.Fatalf("the receiver did not start: %v", err)
	}
	r.where = strings.TrimSpace(line)
	scheme, _, _ := strings.Cut(r.args[0], ":")
	r.args[0] = scheme + "://" + r.where
}

func (r *receiver) kill() {
	_ = r.cmd.Process.Kill() // SIGKILL
	_ = r.cmd.Wait()
}

// TestKill: a sender that sends again what was not answered by an orderly end
// loses nothing, however often the receiver is killed in the middle.
func TestKill(t *testing.T) {
	for _, scheme := range []string{"tcp", "tls"} {
		t.Run(scheme, func(t *testing.T) {
			a, dir := servetest.NewAuthority(t), filepath.Join(t.TempDir(), "spool")
			a.Issue("server")
			r := &receiver{t: t, args: []string{scheme + "://127.0.0.1:0", dir, path(a, "server.pem"), path(a, "server.key")}}
			r.start()
			defer func() { r.kill() }()
			var cfg *tls.Config
			if scheme == "tls" {
				cfg = a.Client("")
			}
			const batches, size, kills = 200, 250, 12
			var stored, again atomic.Int64
			where := r.where
			done := make(chan error, 1)
			go func() {
				for n := 0; n < batches; {
					err := sendBatch(where, cfg, n*size, size)
					if errors.Is(err, syscall.ECONNREFUSED) { // it is being started again
						<-time.After(time.Millisecond)
						continue
					}
					if err != nil {
						again.Add(1)
						continue
					}
					n++
					stored.Store(int64(n))
				}
				done <- nil
			}()
			rnd := rand.New(rand.NewPCG(4, 2))
			for k := range int64(kills) {
				await(t, "the sender gets on", func() bool { return stored.Load() >= (k+1)*batches/(kills+1) })
				<-time.After(time.Duration(rnd.IntN(3000)) * time.Microsecond)
				r.kill()
				r.start()
			}
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			r.kill()
			lost, twice := missing(t, dir, batches*size)
			if lost != 0 {
				t.Errorf("%d of %d acknowledged messages are lost", lost, batches*size)
			}
			if again.Load() == 0 {
				t.Error("no batch was in the middle of a kill: the test proves nothing")
			}
			t.Logf("%s: %d messages, %d kills, %d batches sent again: %d lost, %d twice", scheme, batches*size, kills, again.Load(), lost, twice)
		})
	}
}

// sendBatch sends numbered messages, ends its half and waits for the other end.
func sendBatch(where string, cfg *tls.Config, from, n int) error {
	raw, err := net.DialTimeout("tcp", where, time.Second)
	if err != nil {
		return err
	}
	defer raw.Close()
	if err := raw.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	var conn interface {
		io.ReadWriter
		CloseWrite() error
	} = raw.(*net.TCPConn)
	if cfg != nil {
		cfg = cfg.Clone()
		cfg.ServerName = "127.0.0.1"
		conn = tls.Client(raw, cfg)
	}
	var b bytes.Buffer
	for i := from; i < from+n; i++ {
		msg := fmt.Sprintf("<13>message %d of the stream", i)
		if i%2 == 0 {
			fmt.Fprintf(&b, "%d %s", len(msg), msg)
		} else {
			fmt.Fprintf(&b, "%s\n", msg)
		}
	}
	if _, err := conn.Write(b.Bytes()); err != nil {
		return err
	}
	if err := conn.CloseWrite(); err != nil {
		return err
	}
	if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
		return fmt.Errorf("no orderly end: %v", err)
	}
	return nil
}

// missing reads the spool and counts what is not there, and what came twice.
func missing(t *testing.T, dir string, n int) (lost, twice int) {
	t.Helper()
	s, err := spool.Open(spool.Config{Dir: dir, Name: "gw", Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	seen := make([]int, n)
	end := errors.New("end")
	err = s.Run(t.Context(), nil, func(_ context.Context, b *ingest.Batch) error {
		for line := range bytes.Lines(b.Data) {
			words := strings.Fields(string(line))
			i, err := strconv.Atoi(words[1])
			if err != nil || len(words) != 5 {
				t.Fatalf("a line was torn: %q", line)
			}
			seen[i]++
		}
		b.Release()
		if b.Lag == 0 {
			return end
		}
		return nil
	})
	if err != end {
		t.Fatal(err)
	}
	for _, times := range seen {
		if times == 0 {
			lost++
		} else {
			twice += times - 1
		}
	}
	return lost, twice
}
