package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// options are the settings of `serve`; the zero values of the durations are never used.
type options struct {
	listen       string
	health       string
	refs         string
	env          []envSource
	grace        time.Duration // stdin closed → TERM, and TERM → KILL
	linger       time.Duration // how long a process outlives its connection
	idleTimeout  time.Duration
	drainTimeout time.Duration
	maxProcesses int
	maxStartRate int // a second
	warm         int
	pipes        bool // raw and direct: pipes instead of the socket itself
	awaitAnswer  bool // not ready before a gateway has said that the server has answered
	startAtOnce  bool // docker-mcp-bridge: a process at accept, not at the first byte
	access       access
	packageDir   string // of an installed package, whose program comes before command
	command      []string
}

func defaults() options {
	return options{
		listen: "127.0.0.1:4444", grace: 5 * time.Second, linger: time.Minute, idleTimeout: 30 * time.Minute,
		drainTimeout: 25 * time.Second, maxProcesses: 256, maxStartRate: 100,
	}
}

func parseServe(args []string) (options, error) {
	o := defaults()
	flags := flag.NewFlagSet("serve", flag.ContinueOnError)
	flags.StringVar(&o.listen, "listen", o.listen, "address that clients connect to, `HOST:PORT`")
	flags.StringVar(&o.health, "health", "", "address of /healthz, /readyz and /metrics, `HOST:PORT`; empty: none")
	flags.StringVar(&o.packageDir, "package", "", "`DIR` of an installed package: its program is run, with what follows `--` as arguments")
	flags.StringVar(&o.refs, "refs", "", "`DIR` that relative files of --env and --env-from-dir are read from")
	flags.Func("env", "`NAME=VALUE` or NAME=@FILE: a variable of the child's environment; @@ is a literal @", func(s string) error {
		source, err := parseEnv(s)
		o.env = append(o.env, source)
		return err
	})
	flags.Func("env-from-dir", "`[PREFIX=]DIR`: each file in DIR becomes a variable", func(s string) error {
		source, err := parseEnvFromDir(s)
		o.env = append(o.env, source)
		return err
	})
	flags.Func("need", "`NAME=DIR`: no process starts while DIR, where NAME is mounted, is empty; a change in it counts as a change of --env", func(s string) error {
		source, err := parseNeed(s)
		o.env = append(o.env, source)
		return err
	})
	flags.DurationVar(&o.grace, "grace", o.grace, "wait after closing stdin before TERM, and again before KILL")
	flags.DurationVar(&o.linger, "linger", o.linger, "how long a process lives on after its connection, or its client's end of input")
	flags.DurationVar(&o.idleTimeout, "idle-timeout", o.idleTimeout, "how long a session lives after its client has marked it idle")
	flags.DurationVar(&o.drainTimeout, "drain-timeout", o.drainTimeout, "longest wait after SIGTERM until the gateway has released all processes")
	flags.IntVar(&o.maxProcesses, "max-processes", o.maxProcesses, "maximum number of processes at once")
	flags.IntVar(&o.maxStartRate, "max-start-rate", o.maxStartRate, "maximum number of process starts a second")
	flags.IntVar(&o.warm, "warm", 0, "number of processes started ahead of need; they have pipes, as with --stdio=pipe")
	flags.BoolVar(&o.awaitAnswer, "await-answer", false, "not ready until a watcher says that the server has answered it")
	flags.Func("stdio", "stdin and stdout of a raw or direct process: `socket` (default; the bridge copies nothing) or pipe", func(s string) error {
		o.pipes = s == "pipe"
		if s != "pipe" && s != "socket" {
			return errors.New("use socket or pipe")
		}
		return nil
	})
	flags.StringVar(&o.access.tokenFile, "token-file", "", "`FILE` with the accepted tokens, one a line; the greeting must carry one of them")
	flags.StringVar(&o.access.cert, "tls-cert", "", "`FILE` with the certificate chain; the bridge then accepts TLS 1.3 only")
	flags.StringVar(&o.access.key, "tls-key", "", "`FILE` with the private key of --tls-cert")
	flags.StringVar(&o.access.clientCA, "tls-client-ca", "", "`FILE` with the certificate authorities of clients; a client certificate is then required")
	flags.StringVar(&o.access.gateway.folder, "gateway-keys", "", "`DIR` with the public keys (PEM, Ed25519) of the gateways that may connect")
	flags.StringVar(&o.access.gateway.server, "server", "", "`NAME` of this server, which the gateway's proof must be made for")
	flags.BoolVar(&o.access.unauthenticated, "allow-unauthenticated", false, "let every client connect, without a greeting too")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.command = flags.Args()
	return o, o.validate()
}

func (o options) validate() error {
	if len(o.command) == 0 && o.packageDir == "" {
		return errors.New("no command: put it after `--`, for example `mcp-bridge serve -- mcp-server-time`")
	}
	for _, n := range []struct {
		name         string
		value, least int
	}{{"--max-processes", o.maxProcesses, 1}, {"--max-start-rate", o.maxStartRate, 1}, {"--warm", o.warm, 0}} {
		if n.value < n.least {
			return fmt.Errorf("%s is %d: it must be at least %d", n.name, n.value, n.least)
		}
	}
	if o.warm > o.maxProcesses {
		return fmt.Errorf("--warm is %d: it must be at most --max-processes, %d", o.warm, o.maxProcesses)
	}
	for _, d := range []struct {
		name  string
		value time.Duration
	}{{"--grace", o.grace}, {"--linger", o.linger}, {"--idle-timeout", o.idleTimeout}, {"--drain-timeout", o.drainTimeout}} {
		if d.value < 0 {
			return fmt.Errorf("%s is %s: it must not be negative", d.name, d.value)
		}
	}
	return o.access.check()
}

func runServe(args []string) int {
	o, err := parseServe(args)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mcp-bridge:", err)
		return exitUsage
	}
	if o.packageDir != "" {
		o.usePackage()
	}
	return serve(o)
}

// usePackage makes the package's program the command, and its folder the first of the child's PATH, before all of --env.
// Without an installation there is a bridge, too, which says at each start what is missing.
func (o *options) usePackage() {
	record, err := readInstalled(o.packageDir)
	if err != nil {
		record.Command = filepath.Join(o.packageDir, packageRecord)
	}
	o.command = append([]string{record.Command}, o.command...)
	_ = os.Setenv("PATH", filepath.Dir(record.Command)+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// The original's clients open a connection for every call.
const compatibleStartRate = 1000

func runCompatible(command []string) int {
	if len(command) == 0 {
		fmt.Fprint(os.Stderr, usage)
		return exitUsage
	}
	o := defaults()
	o.listen, o.startAtOnce, o.command = ":4444", true, command
	o.access.unauthenticated = true
	o.maxStartRate = compatibleStartRate
	return serve(o)
}
