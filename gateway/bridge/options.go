package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"time"
)

// options is everything that `serve` can be told; the zero values of the durations are never used.
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
	startAtOnce  bool // docker-mcp-bridge: a process at accept, not at the first byte
	access       access
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
	flags.StringVar(&o.refs, "refs", "", "`DIR` that relative files of --env and --env-from-dir are read from")
	flags.Func("env", "`NAME=VALUE` or NAME=@FILE for the child's environment; @@ is a literal @", func(s string) error {
		source, err := parseEnv(s)
		o.env = append(o.env, source)
		return err
	})
	flags.Func("env-from-dir", "`[PREFIX=]DIR`: each file in DIR becomes a variable", func(s string) error {
		source, err := parseEnvFromDir(s)
		o.env = append(o.env, source)
		return err
	})
	flags.Func("need", "`NAME=DIR`: nothing starts while DIR, which shows NAME, is empty; a change of it counts as one of --env", func(s string) error {
		source, err := parseNeed(s)
		o.env = append(o.env, source)
		return err
	})
	flags.DurationVar(&o.grace, "grace", o.grace, "wait after closing stdin before TERM, and again before KILL")
	flags.DurationVar(&o.linger, "linger", o.linger, "how long a process outlives its connection, or its client's end of input")
	flags.DurationVar(&o.idleTimeout, "idle-timeout", o.idleTimeout, "how long a session lives that its client has marked idle")
	flags.DurationVar(&o.drainTimeout, "drain-timeout", o.drainTimeout, "longest wait after SIGTERM for the gateway to release processes")
	flags.IntVar(&o.maxProcesses, "max-processes", o.maxProcesses, "most processes at once")
	flags.IntVar(&o.maxStartRate, "max-start-rate", o.maxStartRate, "most processes started in a second")
	flags.IntVar(&o.warm, "warm", 0, "processes kept started ahead; they have pipes, as with --stdio=pipe")
	flags.Func("stdio", "what raw and direct connections give a process: `socket` (default, the bridge copies nothing) or pipe", func(s string) error {
		o.pipes = s == "pipe"
		if s != "pipe" && s != "socket" {
			return errors.New("want socket or pipe")
		}
		return nil
	})
	flags.StringVar(&o.access.tokenFile, "token-file", "", "`FILE` with the tokens, one a line, of which a greeting must carry one")
	flags.StringVar(&o.access.cert, "tls-cert", "", "`FILE` with the certificate chain: the bridge speaks TLS 1.3 only")
	flags.StringVar(&o.access.key, "tls-key", "", "`FILE` with its key")
	flags.StringVar(&o.access.clientCA, "tls-client-ca", "", "`FILE` with the authorities of clients' certificates, which are then demanded")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.command = flags.Args()
	return o, o.validate()
}

func (o options) validate() error {
	if len(o.command) == 0 {
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
		return fmt.Errorf("--warm is %d: it must not be more than --max-processes, %d", o.warm, o.maxProcesses)
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
	return serve(o)
}

// The original's clients connect anew for every call.
const compatibleStartRate = 1000

func runCompatible(command []string) int {
	if len(command) == 0 {
		fmt.Fprint(os.Stderr, usage)
		return exitUsage
	}
	o := defaults()
	o.listen, o.startAtOnce, o.command = ":4444", true, command
	o.maxStartRate = compatibleStartRate
	return serve(o)
}
