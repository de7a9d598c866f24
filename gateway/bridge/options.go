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
	linger       time.Duration // how long an attached session outlives its connection
	drainTimeout time.Duration
	maxProcesses int
	startAtOnce  bool // docker-mcp-bridge: a process at accept, not at the first byte
	command      []string
}

func defaults() options {
	return options{
		listen: "127.0.0.1:4444", grace: 5 * time.Second, linger: 60 * time.Second,
		drainTimeout: 25 * time.Second, maxProcesses: 256,
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
	flags.DurationVar(&o.grace, "grace", o.grace, "wait after closing stdin before TERM, and again before KILL")
	flags.DurationVar(&o.linger, "linger", o.linger, "how long an attached session outlives its connection")
	flags.DurationVar(&o.drainTimeout, "drain-timeout", o.drainTimeout, "longest wait after SIGTERM for the gateway to release processes")
	flags.IntVar(&o.maxProcesses, "max-processes", o.maxProcesses, "most processes at once")
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
	if o.maxProcesses < 1 {
		return fmt.Errorf("--max-processes is %d: it must be at least 1", o.maxProcesses)
	}
	for name, d := range map[string]time.Duration{"--grace": o.grace, "--linger": o.linger, "--drain-timeout": o.drainTimeout} {
		if d < 0 {
			return fmt.Errorf("%s is %s: it must not be negative", name, d)
		}
	}
	return nil
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

func runCompatible(command []string) int {
	if len(command) == 0 {
		fmt.Fprint(os.Stderr, usage)
		return exitUsage
	}
	o := defaults()
	o.listen, o.startAtOnce, o.command = ":4444", true, command
	return serve(o)
}
