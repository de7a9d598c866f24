package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const npmLog = "npm error A complete log of this run can be found in: /home/me/.npm/_logs/2026-11-27T00_00_00_000Z-debug-0.log\n"

// What npm and uv have been seen to write.
var diagnosed = []struct{ output, reason, words string }{
	{"npm error code ETARGET\nnpm error notarget No matching version found for pkg@9.9.9.\n" + npmLog, "VersionNotFound", "there is no such version (No matching version found for pkg@9.9.9.)"},
	{"npm error code E404\nnpm error 404 Not Found - GET https://registry.example/pkg\nnpm error 404\n" + npmLog, "PackageNotFound", "there is no such package (Not Found - GET https://registry.example/pkg)"},
	{"npm error code ENOSPC\nnpm error errno -28\nnpm error nospc no space left on device\n", "DiskFull", "the volume is full"},
	{"npm error code E401\nnpm error Incorrect or missing password.\n", "RegistryDenied", "the registry refuses the credentials"},
	{"npm error code ECONNREFUSED\nnpm error network request to https://r.example failed\n", "RegistryUnreachable", "the registry cannot be reached"},
	{"npm error code E502\nnpm error 502 Bad Gateway - GET https://r.example/pkg\n", "RegistryUnreachable", "the registry cannot be reached"},
	{"npm error code SELF_SIGNED_CERT_IN_CHAIN\nnpm error self-signed certificate\n", "RegistryNotTrusted", "the registry's certificate is not trusted"},
	{"npm error code EBADPLATFORM\nnpm error notsup Unsupported platform for fsevents@2.3.3\n", "PlatformNotSupported", "it has no build for this platform"},
	{"npm error code ERESOLVE\nnpm error ERESOLVE unable to resolve dependency tree\n", "RequirementsConflict", "do not fit together"},
	{"  × No solution found when resolving dependencies:\n  ╰─▶ Because there is no version of p==9 and you require p==9, we can conclude that your requirements are unsatisfiable.\n", "VersionNotFound", "there is no such version ("},
	{"  ╰─▶ Because p was not found in the package registry and you require p==1\n", "PackageNotFound", "there is no such package"},
	{"  ╰─▶ Because p==1 has no wheels with a matching Python ABI tag (e.g., `cp311`)\n", "PlatformNotSupported", "it has no build"},
	{"  ╰─▶ Because the current Python version (3.11.2) does not satisfy Python>=3.13 and p==1 depends on Python>=3.13\n", "RuntimeNotSupported", "it needs another version of Python"},
	{"error: Failed to fetch: `https://user:secret@r.example/simple/p/`\n  Caused by: error sending request\n  Caused by: invalid peer certificate: UnknownIssuer\n", "RegistryNotTrusted", "Failed to fetch: `https://r.ex"},
	{"error: Failed to fetch: `https://r.example/simple/p/`\n  Caused by: HTTP status client error (401 Unauthorized) for url\n", "RegistryDenied", "the registry refuses"},
	{"", "InstallFailed", "exit status 1, without a word"},
	{"npm error code 1\n" + npmLog, "InstallFailed", "exit status 1, without a word"},
	{"something else\n", "InstallFailed", "something else"},
}

func TestTheCauseOfAFailureIsNamed(t *testing.T) {
	for _, c := range diagnosed {
		var failure *installFailure
		if err := diagnose("npm package p@1", c.output, "exit status 1"); !errors.As(err, &failure) {
			t.Fatalf("%q: %v", c.output, err)
		}
		if failure.Reason != c.reason || !strings.Contains(failure.Message, c.words) {
			t.Errorf("%q: %s: %s", c.output, failure.Reason, failure.Message)
		}
		if strings.ContainsAny(failure.Message, "\n") || strings.Contains(failure.Message, "secret") || len(failure.Message) > 1000 {
			t.Errorf("%q: %q", c.output, failure.Message)
		}
	}
}

func FuzzDiagnose(f *testing.F) {
	for _, c := range diagnosed {
		f.Add(c.output)
	}
	f.Fuzz(func(t *testing.T, output string) {
		failure := installFailureOf(diagnose("p", output, "exit status 1"))
		if failure.Reason == "" || strings.Contains(failure.Message, "\n") || len(failure.Message) > 1000 {
			t.Errorf("%q: %+v", output, failure)
		}
	})
}

func TestTheIntegrityIsOfThePackagesAndNotOfTheirAddresses(t *testing.T) {
	lock := `{"packages": {"": {"dependencies": {}}, "node_modules/a": {"version": "1.0.0", "resolved": "https://ONE/a.tgz", "integrity": "sha512-x"},
	  "node_modules/a/node_modules/b": {"version": "2.0.0", "integrity": "sha512-y"}, "node_modules/c/node_modules/d": {"version": "1.0.0", "inBundle": true}}}`
	sums := map[string]bool{}
	for _, text := range []string{lock, strings.Replace(lock, "ONE", "OTHER", 1), strings.Replace(lock, "sha512-y", "sha512-z", 1)} {
		packages, err := parseNpmLock([]byte(text))
		if err != nil || len(packages) != 2 {
			t.Fatal(packages, err)
		}
		sum, err := integrityOf(packages)
		if err != nil {
			t.Fatal(err)
		}
		sums[sum] = true
	}
	if len(sums) != 2 {
		t.Error(sums)
	}
}

func TestAPackageWithoutADigestIsRefused(t *testing.T) {
	_, err := integrityOf([]lockedPackage{{"node_modules/a", "1.0.0", ""}})
	if failure := installFailureOf(err); failure.Reason != "NoIntegrity" {
		t.Error(err)
	}
}

func TestUvsLockFileIsRead(t *testing.T) {
	text := "lock-version = \"1.0\"\nrequires-python = \">=3.11\"\n\n[[packages]]\nname = \"a\"\nversion = \"1.0\"\nmarker = \"sys_platform != 'x'\"\n" +
		"wheels = [{ url = \"https://h/a.whl\", size = 1, hashes = { sha256 = \"00ff\" } }]\n\n[[packages]]\nname = \"b\"\nversion = \"2\"\n" +
		"sdist = { url = \"https://h/b.tar.gz\", hashes = { sha256 = \"11aa\" } }\n"
	got := parsePyLock(text)
	if len(got) != 2 || got[0] != (lockedPackage{"a", "1.0", "sha256:00ff"}) || got[1] != (lockedPackage{"b", "2", "sha256:11aa"}) {
		t.Error(got)
	}
}

func TestTheProgramIsTheOneOfNpxAndUvx(t *testing.T) {
	for _, c := range []struct {
		name, bin string
		programs  []string
		want      string
	}{
		{"pkg", "", []string{"other"}, "other"},
		{"@scope/pkg", "", []string{"a", "pkg"}, "pkg"},
		{"pkg", "b", []string{"a", "b"}, "b"},
		{"pkg", "", []string{"a", "b"}, "!"},
		{"pkg", "c", []string{"a"}, "!"},
		{"pkg", "", nil, "!"},
	} {
		got, err := chooseProgram(packageSource{npm: c.name, version: "1.0.0", bin: c.bin}, c.programs)
		if c.want == "!" {
			if installFailureOf(errors.Join(err)).Reason != "ProgramNotFound" {
				t.Error(c, got, err)
			}
		} else if err != nil || got != c.want {
			t.Error(c, got, err)
		}
	}
}

func TestTheProgramsOfAPackageAreRead(t *testing.T) {
	for text, want := range map[string]string{
		`{"bin": "cli.js"}`: "pkg", `{"bin": {"b": "b.js", "@s/a": "a.js"}}`: "a b", `{}`: "", `{"bin": ""}`: "", `{"bin": 3}`: "",
	} {
		got, err := npmPrograms([]byte(text), "pkg")
		if err != nil || strings.Join(got, " ") != want {
			t.Error(text, got, err)
		}
	}
	scripts := parseConsoleScripts("[gui_scripts]\nw = m:w\n\n[console_scripts]\nb = m:f\na=m:g\n[other]\nx = y\n")
	if strings.Join(scripts, " ") != "a b" {
		t.Error(scripts)
	}
}

func TestAnInstallationWhoseProgramHasGoneIsNone(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	if err := writeInstalled(dir, installedPackage{Command: program}); err != nil {
		t.Fatal(err)
	}
	if _, err := readInstalled(dir); err == nil {
		t.Error("taken without its program")
	}
	if err := os.WriteFile(program, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if record, err := readInstalled(dir); err != nil || record.Command != program {
		t.Error(record, err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "venv", "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/no/such/python", filepath.Join(dir, pythonProgram)); err != nil {
		t.Fatal(err)
	}
	if _, err := readInstalled(dir); err == nil {
		t.Error("taken without its Python")
	}
}
