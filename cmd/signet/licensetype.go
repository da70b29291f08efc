package main

import (
	"encoding/json/v2"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
)

const (
	pathTypes   = "/licenses/v1/types"
	maxTypeFile = 256 << 10 // bytes
)

// newLicenseType returns the command group license type, for the operator's client.
func newLicenseType(e *env) *cobra.Command {
	f := &apiFlags{}
	c := group("type", "Add licence types, and show them",
		newTypeSend(e, f, "add FILE", "Add a type, or the next version of one, from its file; - is standard input", ""),
		newTypeSend(e, f, "check FILE", "Say whether a type file could be added now, and as which version", "/check"),
		newTypeList(e, f), newTypeShow(e, f))
	f.register(c)
	return c
}

// typeView is a type as the API shows it.
type typeView struct {
	ID      string `json:"id"`
	Version int    `json:"version"`
	Code    uint64 `json:"code"`
	Names   struct {
		ZH string `json:"zh"`
		EN string `json:"en"`
	} `json:"names"`
	Holder   string   `json:"holder"`
	Years    int      `json:"years"`
	Review   []string `json:"review"`
	Versions int      `json:"versions"`
	File     string   `json:"file"`
}

func showType(w io.Writer, v typeView) {
	list(w, "type", v.ID, "version", strconv.Itoa(v.Version), "code", strconv.FormatUint(v.Code, 10),
		"name_zh", v.Names.ZH, "name_en", v.Names.EN, "holder", v.Holder, "years", strconv.Itoa(v.Years), "review", strings.Join(v.Review, " "))
}

// typeCall makes one call and shows the answer.
func (f *apiFlags) typeCall(c *cobra.Command, e *env, r request, v any, people func(w io.Writer)) error {
	a, err := f.connect(e, scopeRegistry)
	if err != nil {
		return err
	}
	r.path = pathTypes + r.path
	b, err := a.call(c.Context(), r)
	if err != nil {
		return err
	}
	return e.show(answer{b, f.json}, v, people)
}

// newTypeSend returns the command license type add or check. Adding a file twice is
// harmless: the second answer is the first.
func newTypeSend(e *env, f *apiFlags, use, short, path string) *cobra.Command {
	return &cobra.Command{Use: use, Short: short, Args: cobra.ExactArgs(1), RunE: func(c *cobra.Command, args []string) error {
		file, err := e.readFile(args[0], maxTypeFile)
		if err != nil {
			return err
		}
		body, err := json.Marshal(map[string]string{"file": string(file)})
		if err != nil {
			return fmt.Errorf("read type file: %w", err)
		}
		var v typeView
		return f.typeCall(c, e, request{method: "POST", path: path, body: body}, &v, func(w io.Writer) { showType(w, v) })
	}}
}

// newTypeList returns the command license type list.
func newTypeList(e *env, f *apiFlags) *cobra.Command {
	return &cobra.Command{Use: "list", Short: "List the licence types in their newest versions", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error {
		var v struct {
			Types []typeView `json:"types"`
		}
		return f.typeCall(c, e, request{method: "GET"}, &v, func(w io.Writer) {
			var rows [][]string
			for _, t := range v.Types {
				rows = append(rows, []string{t.ID, strconv.Itoa(t.Version), strconv.FormatUint(t.Code, 10), t.Holder, t.Names.ZH + " " + t.Names.EN})
			}
			table(w, []string{"ID", "VERSION", "CODE", "HOLDER", "NAME"}, rows)
		})
	}}
}

// newTypeShow returns the command license type show.
func newTypeShow(e *env, f *apiFlags) *cobra.Command {
	var version int
	var file bool
	c := &cobra.Command{Use: "show ID", Short: "Show one licence type", Args: cobra.ExactArgs(1)}
	c.Flags().IntVar(&version, "version", 0, "`NUMBER` of the version, 0 for the newest")
	c.Flags().BoolVar(&file, "file", false, "print the type file and nothing else")
	c.RunE = func(c *cobra.Command, args []string) error {
		path := "/" + url.PathEscape(args[0])
		if version != 0 {
			path += "?version=" + strconv.Itoa(version)
		}
		var v typeView
		return f.typeCall(c, e, request{method: "GET", path: path}, &v, func(w io.Writer) {
			if file {
				_, _ = io.WriteString(w, v.File)
				return
			}
			showType(w, v)
			list(w, "versions", strconv.Itoa(v.Versions))
		})
	}
	return c
}
