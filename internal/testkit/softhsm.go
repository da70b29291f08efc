package testkit

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// SoftHSM makes a token of SoftHSM2 in the test's directory and returns the path
// of the module, the token's label and a file with its PIN, or skips. The
// library reads its configuration from the environment when a process first
// opens it: such a test is not parallel, and closes what it opened. The token is
// in the directory tokens beside the PIN file.
func SoftHSM(t testing.TB) (module, token, pinFile string) {
	t.Helper()
	module, err := softHSMModule()
	if err != nil {
		t.Skip("SoftHSM2: no libsofthsm2.so found (apt-get install softhsm2)")
	}
	tool, err := exec.LookPath("softhsm2-util")
	if err != nil {
		t.Skip("SoftHSM2: no softhsm2-util found (apt-get install softhsm2)")
	}
	const pin = "739152"
	token = "signet test; 100% #1?" // what a URI must escape
	dir := t.TempDir()
	pinFile = filepath.Join(dir, "pin")
	conf := filepath.Join(dir, "softhsm2.conf")
	tokens := filepath.Join(dir, "tokens")
	if err := os.Mkdir(tokens, 0o700); err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{
		pinFile: pin + "\n",
		conf:    "directories.tokendir = " + tokens + "\nobjectstore.backend = file\nlog.level = ERROR\nslots.removable = false\n",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("SOFTHSM2_CONF", conf)
	cmd := exec.Command(tool, "--init-token", "--free", "--label", token, "--so-pin", "48203957", "--pin", pin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("softhsm2-util: %v\n%s", err, out)
	}
	return module, token, pinFile
}

func softHSMModule() (string, error) {
	for _, pattern := range []string{"/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/*/softhsm/libsofthsm2.so", "/usr/local/lib/softhsm/libsofthsm2.so"} {
		found, err := filepath.Glob(pattern)
		if err == nil && len(found) > 0 {
			return found[0], nil
		}
	}
	return "", os.ErrNotExist
}
