// Command mcp-bridge runs a stdio MCP server and carries its standard input and output over TCP.
//
// It is copied into the server's container by an initContainer (mcp-bridge install) and started in front of the server's own
// command (mcp-bridge serve … -- COMMAND ARGS…). The wire contract is docs/bridge-protocol.md.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// Set by the linker: see the Makefile's `bridge` target.
var (
	version = "dev"
	commit  = "unknown"
)

const usage = `usage:
  mcp-bridge serve [flags] -- COMMAND [ARG...]   run COMMAND for each connection
  mcp-bridge install PATH                        copy this binary to PATH
  mcp-bridge package [flags] DIR                 install a package of npm or PyPI into DIR, for serve --package
  mcp-bridge probe ADDR                          check a bridge's health port for readiness
  mcp-bridge version
  docker-mcp-bridge COMMAND [ARG...]             as the original: serve on :4444, start at accept
`

func main() { os.Exit(run(os.Args)) }

func run(argv []string) int {
	if filepath.Base(argv[0]) == "docker-mcp-bridge" {
		return runCompatible(argv[1:])
	}
	if len(argv) < 2 {
		fmt.Fprint(os.Stderr, usage)
		return exitUsage
	}
	switch command, args := argv[1], argv[2:]; command {
	case "serve":
		return runServe(args)
	case "install":
		return runInstall(args)
	case "package":
		return runPackage(args)
	case "probe":
		return runProbe(args)
	case "version", "--version":
		fmt.Printf("mcp-bridge %s (%s)\n", version, commit)
		return 0
	case "help", "--help", "-h":
		fmt.Print(usage)
		return 0
	default:
		return runCompatible(argv[1:])
	}
}
