package oidc

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/signet-city/signet/internal/registry"
	"github.com/signet-city/signet/internal/web"
)

//go:embed sandbox.yaml
var personasFile []byte

// personaPrefix stands before a persona's id wherever a real person's id stands. No id
// of a person has a colon, so the one is never taken for the other.
const personaPrefix = "sandbox:"

// persona is an invented person of the sandbox.
type persona struct {
	ID       string       `yaml:"id"`
	Name     string       `yaml:"name"`
	About    personaAbout `yaml:"about"`
	Document struct {
		Kind   registry.Kind `yaml:"kind"`
		Number string        `yaml:"number"`
	} `yaml:"document"`
	Firms    []personaFirm `yaml:"firms"`
	Weak     bool          `yaml:"weak"`     // reaches the weakest level alone
	Declines bool          `yaml:"declines"` // says no, whatever is asked
}

type personaAbout struct {
	ZH string `yaml:"zh"`
	EN string `yaml:"en"`
}

type personaFirm struct {
	USCC string `yaml:"uscc"`
	Name string `yaml:"name"`
}

// parsePersonas reads the file of personas. It fails with what is wrong in it.
func parsePersonas(b []byte) (list []persona, err error) {
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(&list); err != nil && !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("read personas: %w", err)
	}
	seen := map[string]bool{}
	for _, x := range list {
		if !isClientID(x.ID) || seen[x.ID] || x.Name == "" || x.About.ZH == "" || x.About.EN == "" || x.Document.Kind == "" || x.Document.Number == "" {
			return nil, fmt.Errorf("read personas: %q is incomplete or there twice", x.ID)
		}
		for _, f := range x.Firms {
			if f.USCC == "" || f.Name == "" {
				return nil, fmt.Errorf("read personas: a firm of %q is incomplete", x.ID)
			}
		}
		seen[x.ID] = true
	}
	if len(list) == 0 {
		return nil, errors.New("read personas: there are none")
	}
	return list, nil
}

// findPersona returns the persona that stands in the place of a person, nil if there is
// none.
func (p *Provider) findPersona(person string) *persona {
	id, ok := strings.CutPrefix(person, personaPrefix)
	at := slices.IndexFunc(p.personas, func(x persona) bool { return x.ID == id })
	if !ok || at < 0 {
		return nil
	}
	return &p.personas[at]
}

// firm returns a firm of the persona's by its code, false for any other.
func (x *persona) firm(uscc string) (personaFirm, bool) {
	at := slices.IndexFunc(x.Firms, func(f personaFirm) bool { return f.USCC == uscc })
	if at < 0 {
		return personaFirm{}, false
	}
	return x.Firms[at], true
}

// person is the persona as the registry would tell of a person.
func (x *persona) person() registry.Person {
	return registry.Person{ID: personaPrefix + x.ID, Kind: x.Document.Kind, Number: x.Document.Number, Name: x.Name}
}

// reach returns the levels that the persona can sign in with, the weakest first.
func (x *persona) reach(levels []string) []string {
	if x.Weak && len(levels) > 1 {
		return levels[:1]
	}
	return levels
}

// amrOf returns methods that fit a level (RFC 8176).
func amrOf(level string, levels []string) []string {
	switch at := slices.Index(levels, level); {
	case at < 0 || at == 0:
		return []string{"pwd"}
	case at == len(levels)-1:
		return []string{"hwk", "user", "mfa"}
	}
	return []string{"pwd", "otp", "mfa"}
}

// sub is what a client calls the persona: another name at every client. There is nobody
// to be found by it, so it is made of what everybody knows.
func (x *persona) sub(client string) string {
	sum := sha256.Sum256([]byte("sandbox sub\x00" + client + "\x00" + x.ID))
	return base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(sum[:])[:26]
}

// label names the persona on the page.
func (x *persona) label(firm string) web.Text {
	if firm == "" {
		return web.Text{ZH: x.Name, EN: x.Name}
	}
	return web.Text{ZH: x.Name + "，代表" + firm, EN: x.Name + ", for " + firm}
}
