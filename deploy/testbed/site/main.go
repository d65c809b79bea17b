// Command site is the gateway of "make stack": the NGINX, the API, the clients and
// the attackers of "portcullis demo", without a Portcullis. It writes where they are
// to the file of -write as lines of a shell, lets traffic through once the file of
// -go exists, and ends with SIGINT or SIGTERM.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/portcullis/portcullis/deploy/demo"
)

func main() {
	dir := flag.String("dir", "", "folder in which everything is")
	write := flag.String("write", "", "file that says where everything is")
	wait := flag.String("go", "", "file whose appearance starts the traffic")
	round := flag.Duration("round", 2*time.Minute, "from one raid of the attackers to the next")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *dir, *write, *wait, *round); err != nil && ctx.Err() == nil {
		fmt.Fprintln(os.Stderr, "site:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir, write, wait string, round time.Duration) (err error) {
	binary, err := demo.FindNginx(ctx, os.Stdout, false)
	if err != nil {
		return err
	}
	site, err := demo.Start(ctx, binary, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, site.Stop()) }()
	if err := os.WriteFile(write+".new", []byte(where(site, binary)), 0o644); err != nil {
		return err
	}
	if err := os.Rename(write+".new", write); err != nil {
		return err
	}
	if err := appears(ctx, wait); err != nil {
		return err
	}
	for n := 1; ; n++ {
		fmt.Printf("round %d: ordinary clients, and four attackers among them\n", n)
		report, err := demo.Traffic(ctx, site.URL, demo.Options{Longest: round, Patience: round / 2, Seed: uint64(n), Progress: say})
		if err != nil || ctx.Err() != nil {
			return err
		}
		fmt.Printf("round %d: %d ordinary requests from %d addresses, %d of them refused by the gateway\n",
			n, report.Ordinary.Requests, report.Ordinary.Addresses, report.Ordinary.Denied)
	}
}

// where says in lines of a shell where the site is.
func where(s *demo.Site, binary string) string {
	var b strings.Builder
	for _, kv := range [][2]string{
		{"SITE_URL", s.URL}, {"SITE_LOG", s.Log}, {"SITE_CONF", s.Conf},
		{"SITE_INCLUDE", s.IncludeDir}, {"SITE_PID", s.PIDFile}, {"SITE_NGINX", binary},
	} {
		fmt.Fprintf(&b, "%s='%s'\n", kv[0], strings.ReplaceAll(kv[1], "'", `'\''`))
	}
	return b.String()
}

// appears waits until a file is there.
func appears(ctx context.Context, path string) error {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		if _, err := os.Stat(path); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// say tells what an attacker meets.
func say(p demo.Progress) {
	switch p.Step {
	case demo.Starts:
		fmt.Printf("attacker %s %s: %s\n", p.Attacker.Kind, p.Attacker.Addr, p.Attacker.Doing)
	case demo.Denied:
		fmt.Printf("refused  %s %s: %d after %d requests and %.1f s\n",
			p.Attacker.Kind, p.Attacker.Addr, p.Attacker.DenyStatus, len(p.Attacker.Sent), p.Took.Seconds())
	}
}
