package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/portcullis/portcullis/detect/store"
	"github.com/portcullis/portcullis/enforce"
	"github.com/portcullis/portcullis/ingest/identity"
	"github.com/portcullis/portcullis/internal/cliout"
	"github.com/portcullis/portcullis/internal/config"
	"github.com/portcullis/portcullis/internal/telemetry"
)

// CLI is the whole command line. Each command is a struct with a Run method that
// takes the App and, if it wants, the context.
type CLI struct {
	Globals

	Run     RunCmd     `cmd:"" group:"work" help:"Watch the logs and protect the gateway: the service itself."`
	Collect CollectCmd `cmd:"" group:"work" help:"Only the reading of logs, for an installation of several machines."`
	Detect  DetectCmd  `cmd:"" group:"work" help:"Only the detection."`
	Enforce EnforceCmd `cmd:"" group:"work" help:"Only decisions and gateways."`
	Console ConsoleCmd `cmd:"" group:"work" help:"Only the web page and the API."`

	Status StatusCmd `cmd:"" group:"look" help:"Say whether all is well: lines read, lag, findings, decisions, gateways."`
	Health HealthCmd `cmd:"" group:"look" help:"Ask the running process whether it is ready: a probe for containers."`

	Findings  FindingsCmd  `cmd:"" group:"look" help:"List what was found, or show one finding with its evidence."`
	Decisions DecisionsCmd `cmd:"" group:"look" help:"List what is done about it; release, extend, approve, explain."`
	Allow     AllowCmd     `cmd:"" group:"look" help:"Keep the list of those who are never acted on."`
	Alert     AlertCmd     `cmd:"" group:"look" help:"List alerts, look after one, keep some silent, try a channel."`
	Reveal    RevealCmd    `cmd:"" group:"look" help:"Show an address that is stored hidden, and write down who asked."`

	Replay   ReplayCmd   `cmd:"" group:"try" help:"Find in finished logs what run would have found; nothing is enforced."`
	Backtest BacktestCmd `cmd:"" group:"try" help:"Say whom decisions about finished logs would have hit; nothing is enforced."`
	Classify ClassifyCmd `cmd:"" group:"try" help:"Give a verdict on every request of a log: attack or benign."`
	Explain  ExplainCmd  `cmd:"" group:"try" help:"Say what is understood of a line, what is kept of it, and what each detector makes of it."`
	Audit    AuditCmd    `cmd:"" group:"try" help:"Grade the gateway's own configuration, with patches."`
	OpenAPI  OpenAPICmd  `cmd:"" name:"openapi" group:"try" help:"Compare the API with its OpenAPI documents."`
	Demo     DemoCmd     `cmd:"" group:"try" help:"Show it all on this machine: a gateway, clients, attackers."`
	Bench    BenchCmd    `cmd:"" group:"try" help:"Measure lines per second, memory and allocations."`

	Rules      RulesCmd      `cmd:"" group:"setup" help:"List the detectors: what they flag, need and keep, and what stays invisible."`
	Formats    FormatsCmd    `cmd:"" group:"setup" help:"List the log formats that can be read."`
	Setup      SetupCmd      `cmd:"" group:"setup" help:"Connect a gateway: print or install the lines that it needs."`
	Config     ConfigCmd     `cmd:"" group:"setup" help:"Check the settings; print their schema, an example, a reference."`
	Keys       KeysCmd       `cmd:"" group:"setup" help:"List and rotate the keys of pseudonyms, make those of bouncers."`
	Index      IndexCmd      `cmd:"" group:"setup" help:"Set up Elasticsearch: install or check its templates."`
	Kafka      KafkaCmd      `cmd:"" group:"setup" help:"Look after the topics: check them, spread the work over more partitions."`
	Dashboards DashboardsCmd `cmd:"" group:"setup" help:"Set up Kibana; write dashboards and rules for Grafana, Prometheus and Fleet."`
	Metrics    MetricsCmd    `cmd:"" group:"setup" help:"List what is served at /metrics, and what it says."`
	Completion CompletionCmd `cmd:"" group:"setup" help:"Print the completion script of a shell."`
	Version    VersionCmd    `cmd:"" group:"setup" help:"Print the version."`
}

// Globals are the flags of every command.
type Globals struct {
	ConfigFile string `name:"config" group:"global" short:"c" placeholder:"FILE" help:"Settings, by default $PORTCULLIS_CONFIG, else /etc/portcullis/portcullis.yaml where it exists."`
	StateDir   string `name:"state-dir" group:"global" placeholder:"DIR" help:"Folder of the database, instead of the one in the settings."`
	Output     string `name:"output" group:"global" enum:"table,jsonl" default:"table" help:"table for people, jsonl (one JSON object a line) for programs."`
	LogLevel   string `name:"log-level" group:"global" enum:",debug,info,warn,error" default:"" placeholder:"LEVEL" help:"debug, info, warn or error; info if not given."`
	LogFormat  string `name:"log-format" group:"global" enum:",text,json" default:"" placeholder:"FORMAT" help:"text or json; text if not given."`
	NoColor    bool   `name:"no-color" group:"global" help:"No colours. They are only ever used on a terminal, and not with NO_COLOR."`
}

var groups = kong.Groups{
	"work":  "Work:",
	"look":  "Look and decide:",
	"try":   "Try out:",
	"setup": "Set up:",

	"sub":    "Commands:",
	"global": "Flags of every command:",
}

const about = `Portcullis stands beside your API gateway, reads its access log, flags credential abuse, rate spikes, injection and reconnaissance, has the gateway block or slow the clients behind them, and checks in the log that the block holds.`

// parse reads the command line into a new CLI. helped says that help was asked
// for and printed.
func parse(ctx context.Context, app *App, args []string) (parsed *kong.Context, helped bool, err error) {
	cli := &CLI{}
	k, err := newParser(cli, func(int) { helped = true }, app.Out, app.Err)
	if err != nil {
		return nil, false, err
	}
	if len(args) == 0 {
		args = []string{"--help"}
		defer func() {
			if err == nil {
				helped, err = false, usageError{err: errors.New("no command given")}
			}
		}()
	}
	parsed, err = k.Parse(args)
	if helped {
		return nil, true, nil
	}
	if err != nil {
		return nil, false, asUsage(k, err)
	}
	app.Globals = cli.Globals
	app.model = k.Model
	parsed.BindTo(ctx, (*context.Context)(nil))
	return parsed, false, nil
}

// newParser builds the model of the command line.
func newParser(cli *CLI, exit func(int), out, errs io.Writer) (*kong.Kong, error) {
	return kong.New(cli,
		kong.Name("portcullis"),
		kong.Description(about),
		kong.Exit(exit),
		kong.Writers(out, errs),
		groups,
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true, FlagsLast: true, WrapUpperBound: 100}),
		kong.TypeMapper(spanType, kong.MapperFunc(decodeSpan)),
	)
}

// asUsage makes an error of the parser one of usage, naming the command whose
// help explains it.
func asUsage(k *kong.Kong, err error) error {
	node := k.Model.Node
	var p *kong.ParseError
	if errors.As(err, &p) && p.Context != nil && p.Context.Selected() != nil {
		node = p.Context.Selected()
	}
	message := err.Error()
	if word, ok := strings.CutPrefix(message, "unexpected argument "); ok {
		word, _, _ = strings.Cut(word, ", did you mean ")
		message, node = unknownWord(word, node)
	}
	return usageError{err: errors.New(cliout.Safe(message, 300)), command: node.FullPath()}
}

// unknownWord says what is wrong with an argument that a command does not take,
// and whose help to read: among commands it was to be one of them.
func unknownWord(word string, node *kong.Node) (string, *kong.Node) {
	if node.Parent != nil && node.Parent.DefaultCmd == node {
		node = node.Parent
	}
	if len(node.Children) == 0 {
		return fmt.Sprintf("unexpected argument %q", word), node
	}
	names := make([]string, len(node.Children))
	for i, c := range node.Children {
		names[i] = c.Name
	}
	if near, ok := config.Nearest(word, names); ok {
		return fmt.Sprintf("unknown command %q, did you mean %q?", word, near), node
	}
	return fmt.Sprintf("unknown command %q", word), node
}

// App is what a command runs with.
type App struct {
	Globals
	In      io.Reader
	Out     io.Writer
	Err     io.Writer
	Environ []string

	model *kong.Application
	cloak *identity.Cloak // where addresses are hidden in the database, or were
	hide  bool            // whether they are now
	blind error           // why there is no cloak though they are hidden; nil: there is, or they are not
}

// JSONL reports whether the output is for programs.
func (a *App) JSONL() bool { return a.Output == "jsonl" }

// Style is how tables on standard output look.
func (a *App) Style() cliout.Style { return cliout.StyleOf(a.Out, a.NoColor) }

// Table returns a table on standard output.
func (a *App) Table(columns ...cliout.Column) *cliout.Table {
	return cliout.NewTable(a.Out, a.Style(), columns...)
}

// Logger returns the log, on standard error, as the flags ask; level and format
// are the settings', for what the flags leave open.
func (a *App) Logger(level, format string) (*slog.Logger, error) {
	if a.LogLevel != "" {
		level = a.LogLevel
	}
	if a.LogFormat != "" {
		format = a.LogFormat
	}
	l, err := telemetry.ParseLevel(level)
	if err != nil {
		return nil, err
	}
	f, err := telemetry.ParseFormat(format)
	if err != nil {
		return nil, err
	}
	return telemetry.NewLogger(a.Err, l, f), nil
}

// getenv returns a variable of the App's environment.
func (a *App) getenv(name string) string {
	for _, kv := range a.Environ {
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			return value
		}
	}
	return ""
}

// configPath is the settings file: the flag's, the variable's or the one in its
// usual place; "" means that there is none and the defaults hold.
func (a *App) configPath() string {
	if a.ConfigFile != "" {
		return a.ConfigFile
	}
	if path := a.getenv("PORTCULLIS_CONFIG"); path != "" {
		return path
	}
	const usual = "/etc/portcullis/portcullis.yaml"
	if _, err := os.Stat(usual); errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	return usual
}

// Settings reads the settings: defaults, file, environment, flags.
func (a *App) Settings() (*Settings, error) {
	path := a.configPath()
	var data []byte
	if path != "" {
		var err error
		if data, err = os.ReadFile(path); err != nil {
			return nil, fmt.Errorf("read the settings: %w", err)
		}
	}
	s := a.newSettings()
	if err := config.Load(path, data, a.Environ, s); err != nil {
		return nil, err
	}
	if a.StateDir != "" {
		s.StateDir = a.StateDir
	}
	s.started = startedBy{read: true, globals: a.Globals, environ: a.Environ}
	return s, nil
}

// newSettings returns settings whose defaults depend on who runs this.
func (a *App) newSettings() *Settings {
	s := &Settings{StateDir: rootStateDir, Detectors: sections()}
	if os.Geteuid() != 0 {
		state := a.getenv("XDG_STATE_HOME")
		if state == "" {
			state = filepath.Join(a.getenv("HOME"), ".local", "state")
		}
		s.StateDir = filepath.Join(state, "portcullis")
	}
	return s
}

// storeFile is the database within the state folder.
const storeFile = "portcullis.db"

// storePath is where the database lies. With --state-dir the settings are not
// needed, so that broken ones do not keep anyone from looking.
func (a *App) storePath() (string, error) {
	if a.StateDir != "" {
		return filepath.Join(a.StateDir, storeFile), nil
	}
	s, err := a.Settings()
	if err != nil {
		return "", err
	}
	return filepath.Join(s.StateDir, storeFile), nil
}

// withStore runs do on the database, which the service may be writing.
func (a *App) withStore(open func(string) (*store.DB, error), do func(*store.DB) error) error {
	path, err := a.storePath()
	if err != nil {
		return err
	}
	db, err := open(path)
	if err != nil {
		return err
	}
	if err := a.conceal(context.Background(), db); err != nil {
		return errors.Join(err, db.Close())
	}
	return errors.Join(do(db), db.Close())
}

// withLedger runs do on the ledger in the database.
func (a *App) withLedger(ctx context.Context, do func(*store.DB, *enforce.Ledger) error) error {
	return a.withStore(store.OpenClient, func(db *store.DB) error {
		l, err := enforce.OpenLedger(ctx, db.SQL())
		if err != nil {
			return err
		}
		if a.cloak != nil {
			l.Conceal(a.cloak, a.hide)
		}
		return do(db, l.ReadFrom(db.Reader()))
	})
}

// now is the wall clock: commands look at it, detectors never do.
func now() time.Time { return time.Now() }
