package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"signet": main})
}

// TestScripts runs testdata/*.txtar: the program as a person sees it. The folder fix
// holds the files that fixture_test.go makes.
func TestScripts(t *testing.T) {
	fixture := t.TempDir()
	writeFixture(t, fixture)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata",
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			return os.CopyFS(filepath.Join(env.WorkDir, "fix"), os.DirFS(fixture))
		},
	})
}
