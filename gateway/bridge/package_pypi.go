package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// uv installs a package of PyPI. Sources: `uv pip compile --help`, `uv pip sync --help`, PEP 751 (pylock.toml), and the
// entry points specification of PyPA.
type uv struct {
	client
	venv string
}

const (
	pythonVenv    = "venv"
	pythonProgram = pythonVenv + "/bin/python"
	pyLock        = "pylock.toml"
)

func newUv(p packageInstall, work string) (packageManager, error) {
	env := []string{
		"UV_CACHE_DIR=" + filepath.Join(work, "cache"), "UV_PYTHON_DOWNLOADS=never", "UV_HTTP_RETRIES=1", "UV_HTTP_TIMEOUT=30", "UV_NO_CONFIG=1",
		"UV_NO_PROGRESS=1",
	}
	env = append(env, p.registry.uvSettings()...)
	if ca := p.registry.authority(); ca != "" {
		env = append(env, "SSL_CERT_FILE="+ca)
	}
	return uv{client{dir: p.dir, env: clientEnvironment(work, env...), p: p}, filepath.Join(p.dir, pythonVenv)}, nil
}

func (u uv) lock() ([]lockedPackage, error) {
	create := []string{"uv", "venv", "--quiet", u.venv}
	if u.p.python != "" {
		create = append(create, "--python", u.p.python)
	}
	if err := u.run("", create...); err != nil {
		return nil, err
	}
	compile := []string{"pip", "compile", "--quiet", "--no-header", "--format", pyLock, "--output-file", filepath.Join(u.dir, pyLock)}
	if err := u.uv(u.requirements(), append(compile, "-")...); err != nil {
		return nil, err
	}
	content, err := os.ReadFile(filepath.Join(u.dir, pyLock))
	return parsePyLock(string(content)), err
}

// requirements is the input of uv: the package with its exact version, and the further ones.
func (u uv) requirements() string {
	extras := ""
	if len(u.p.extras) > 0 {
		extras = "[" + strings.Join(u.p.extras, ",") + "]"
	}
	return strings.Join(append([]string{u.p.pypi + extras + "==" + u.p.version}, u.p.requirements...), "\n") + "\n"
}

// uv runs a subcommand. Only wheels are used, since a build runs the package's own program.
func (u uv) uv(stdin string, command ...string) error {
	command = append(append([]string{"uv"}, command...), "--python", filepath.Join(u.dir, pythonProgram))
	if !u.p.scripts {
		command = append(command, "--only-binary", ":all:")
	}
	return u.run(stdin, command...)
}

func (u uv) install() error {
	return u.uv("", "pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode", filepath.Join(u.dir, pyLock))
}

var (
	pyField = regexp.MustCompile(`^(name|version) = "([^"]*)"`)
	pyHash  = regexp.MustCompile(`hashes = \{ (\w+) = "([0-9a-f]+)" \}`)
)

// parsePyLock reads what uv writes for one platform: each package with the one file that is installed.
func parsePyLock(text string) []lockedPackage {
	var out []lockedPackage
	for _, section := range strings.Split(text, "[[packages]]\n")[1:] {
		var p lockedPackage
		for _, line := range strings.Split(section, "\n") {
			switch field := pyField.FindStringSubmatch(line); {
			case field == nil:
			case field[1] == "name":
				p.place = field[2]
			default:
				p.version = field[2]
			}
		}
		for _, hash := range pyHash.FindAllStringSubmatch(section, -1) {
			p.integrity = strings.TrimSpace(p.integrity + " " + hash[1] + ":" + hash[2])
		}
		out = append(out, p)
	}
	return out
}

func (u uv) program() (string, error) {
	programs, err := consoleScripts(u.venv, u.p.pypi)
	if err != nil {
		return "", err
	}
	bin := filepath.Join(u.venv, "bin")
	if u.p.bin != "" && executable(filepath.Join(bin, u.p.bin)) == nil { // it may be a further requirement's
		return filepath.Join(bin, u.p.bin), nil
	}
	name, err := chooseProgram(u.p.packageSource, programs)
	return filepath.Join(bin, name), err
}

// consoleScripts are the names of a distribution's programs.
func consoleScripts(venv, name string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(venv, "lib", "python3*", "site-packages", "*.dist-info", "entry_points.txt"))
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		distribution, _, _ := strings.Cut(filepath.Base(filepath.Dir(file)), "-")
		if normalized(distribution) == normalized(name) {
			content, err := os.ReadFile(file)
			return parseConsoleScripts(string(content)), err
		}
	}
	return nil, nil
}

// normalized is a name of PyPI as PEP 503 compares it.
func normalized(name string) string {
	return strings.ToLower(regexp.MustCompile(`[-_.]+`).ReplaceAllString(name, "-"))
}

func parseConsoleScripts(text string) []string {
	var out []string
	section := ""
	for _, line := range strings.Split(text, "\n") {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			section = line
			continue
		}
		name, _, found := strings.Cut(line, "=")
		if found && section == "[console_scripts]" {
			out = append(out, strings.TrimSpace(name))
		}
	}
	slices.Sort(out)
	return out
}
