package licenses

import (
	"cmp"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"github.com/signet-city/signet/licenses/permit"
	"github.com/signet-city/signet/verify/trust"
)

//go:embed types/*.yaml
var shipped embed.FS

// The two kinds of holder.
const (
	HolderFirm   = "firm"
	HolderPerson = "person"
)

const maxRenewDays = 3660

const maxTypeFile = 256 << 10 // bytes

const maxYears = 10 // longest validity: a key is published for verifying that long after it signed

// Names are a thing's names in Chinese and English.
type Names struct {
	ZH string `yaml:"zh"`
	EN string `yaml:"en"`
}

// Type is a licence type as its file describes it. Codes, field numbers and the
// dictionary are append-only: permits in people's pockets use them.
type Type struct {
	ID           string     `yaml:"id"`            // lowercase letters, digits and hyphens
	Code         uint64     `yaml:"code"`          // what stands in a permit
	Identifier   string     `yaml:"identifier"`    // 21 characters, GB/T 36904
	Names        Names      `yaml:"names"`         //
	Holder       string     `yaml:"holder"`        // firm or person
	NumberPrefix string     `yaml:"number_prefix"` // of the licence number: one to eight capital letters
	Years        int        `yaml:"years"`         // validity when the request names no end
	RenewDays    int        `yaml:"renew_days"`    // how long before its end a licence may be renewed; 0 means 90
	Reprint      bool       `yaml:"reprint"`       // whether one that was lost is printed once more
	Apply        bool       `yaml:"apply"`         // whether its holder may apply for it in the wallet
	Review       []string   `yaml:"review"`        // which posts decide on an application at a desk, in order: see Reviews
	StatusHours  int        `yaml:"status_hours"`  // oldest status that a verifier may rely on
	Schema       any        `yaml:"schema"`        // JSON Schema 2020-12 of the data
	Fields       []Field    `yaml:"fields"`        // which data travel in the permit
	Lists        []CodeList `yaml:"lists"`
	Attachments  []Slot     `yaml:"attachments"` // what comes with an application
	Dictionary   string     `yaml:"dictionary"`  // deflate preset dictionary: text that permits of this type often hold

	Version int `yaml:"-"` // of the file, from 1

	schema *jsonschema.Schema
	body   []byte // the file
}

// Field puts one property of the data into the permit.
type Field struct {
	No       uint64 `yaml:"no"` // 4 and up
	Property string `yaml:"property"`
	Names    Names  `yaml:"names"`
	List     string `yaml:"list"` // the code list of its values, "" for none
}

// Slot is a paper that comes with an application.
type Slot struct {
	ID       string `yaml:"id"` // lowercase letters, digits and hyphens
	Names    Names  `yaml:"names"`
	Required bool   `yaml:"required"` // of holders who apply themselves; a clerk has seen the paper
}

const maxSlots = 10

// Slot returns the slot with an id, nil for none.
func (t *Type) Slot(id string) *Slot {
	if i := slices.IndexFunc(t.Attachments, func(s Slot) bool { return s.ID == id }); i >= 0 {
		return &t.Attachments[i]
	}
	return nil
}

// Missing returns the required slots for which nothing is attached.
func (t *Type) Missing(attached []Attached) (missing []Slot) {
	for _, s := range t.Attachments {
		if s.Required && !slices.ContainsFunc(attached, func(a Attached) bool { return a.Slot == s.ID }) {
			missing = append(missing, s)
		}
	}
	return missing
}

// CodeList lets values that recur travel as numbers.
type CodeList struct {
	ID    string `yaml:"id"`
	Codes []Code `yaml:"codes"`
}

// Code is one value of a list.
type Code struct {
	Code  uint64 `yaml:"code"`
	Value string `yaml:"value"` // as it stands in the data
	Names Names  `yaml:"names"`
}

// renewFrom returns when a licence that ends then may first be renewed.
func (t *Type) renewFrom(end time.Time) time.Time {
	return end.AddDate(0, 0, -cmp.Or(t.RenewDays, 90))
}

// ShippedTypes returns the types that come with the program, by id.
func ShippedTypes() ([]*Type, error) {
	names, err := fs.Glob(shipped, "types/*.yaml")
	if err != nil {
		return nil, err
	}
	types := make([]*Type, 0, len(names))
	for _, name := range names {
		b, err := shipped.ReadFile(name)
		if err != nil {
			return nil, err
		}
		t, err := ParseType(b)
		if err != nil {
			return nil, fmt.Errorf("licence type %s: %w", path.Base(name), err)
		}
		types = append(types, t)
	}
	return types, nil
}

// ParseType reads a type file. It fails on unknown members, on a schema that is
// no JSON Schema, and names everything else that is wrong at once.
func ParseType(b []byte) (*Type, error) {
	if len(b) > maxTypeFile {
		return nil, errors.New("type file over 256 kB")
	}
	var t Type
	d := yaml.NewDecoder(strings.NewReader(string(b)))
	d.KnownFields(true)
	if err := d.Decode(&t); err != nil {
		return nil, err
	}
	if err := d.Decode(new(any)); !errors.Is(err, io.EOF) {
		return nil, errors.New("want one document and nothing after it")
	}
	t.Version, t.body = 1, b
	if err := t.compile(); err != nil {
		return nil, err
	}
	return &t, t.check()
}

// schemaURL is absolute: a relative one would be completed with the directory that
// the process runs in, which errors would tell.
const schemaURL = "urn:signet:license-type"

func (t *Type) compile() error {
	c := jsonschema.NewCompiler()
	c.DefaultDraft(jsonschema.Draft2020)
	c.AssertFormat()
	c.UseLoader(noLoader{})
	if err := c.AddResource(schemaURL, plain(t.Schema)); err != nil {
		return fmt.Errorf("schema: %w", err)
	}
	s, err := c.Compile(schemaURL)
	if err != nil {
		return fmt.Errorf("schema: %w", err)
	}
	t.schema = s
	return nil
}

// noLoader refuses references to other documents.
type noLoader struct{}

// Load implements jsonschema.URLLoader.
func (noLoader) Load(url string) (any, error) {
	return nil, fmt.Errorf("reference to %s: a type's schema stands alone", url)
}

// plain turns YAML's integers into the kinds that the schema compiler expects.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			v[k] = plain(e)
		}
	case []any:
		for i, e := range v {
			v[i] = plain(e)
		}
	case int:
		return float64(v)
	}
	return v
}

func (t *Type) check() error {
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if !isWord(t.ID) {
		bad("id: want lowercase letters, digits and hyphens")
	}
	if t.Code == 0 {
		bad("code: want a number above 0")
	}
	if len(t.Identifier) != 21 || strings.Trim(t.Identifier, identifierAlphabet) != "" {
		bad("identifier: want 21 digits or capital letters")
	}
	if t.Names.ZH == "" || t.Names.EN == "" {
		bad("names: want zh and en")
	}
	if t.Holder != HolderFirm && t.Holder != HolderPerson {
		bad("holder: want %s or %s", HolderFirm, HolderPerson)
	}
	if n := len(t.NumberPrefix); n == 0 || n > 8 || strings.Trim(t.NumberPrefix, identifierAlphabet[10:]) != "" {
		bad("number_prefix: want one to eight capital letters")
	}
	if t.Years < 1 || t.Years > maxYears {
		bad("years: want 1 to %d", maxYears)
	}
	if t.RenewDays < 0 || t.RenewDays > maxRenewDays {
		bad("renew_days: want 0 to %d", maxRenewDays)
	}
	if t.StatusHours < 1 {
		bad("status_hours: want 1 or more")
	}
	if len(t.Dictionary) > permit.MaxDictionary {
		bad("dictionary: over %d bytes", permit.MaxDictionary)
	}
	if err := t.checkReview(); err != nil {
		errs = append(errs, err)
	}
	if len(t.Attachments) > maxSlots {
		bad("attachments: more than %d", maxSlots)
	}
	for i, a := range t.Attachments {
		if !isWord(a.ID) || a.Names.ZH == "" || a.Names.EN == "" || t.Slot(a.ID) != &t.Attachments[i] {
			bad("attachments: %q: want an id of its own in lowercase letters, digits and hyphens, and names in zh and en", a.ID)
		}
	}
	errs = append(errs, t.checkFields()...)
	return errors.Join(errs...)
}

func (t *Type) checkFields() (errs []error) {
	lists := map[string]bool{}
	for _, l := range t.Lists {
		if lists[l.ID] {
			errs = append(errs, fmt.Errorf("lists: %s twice", l.ID))
		}
		lists[l.ID] = true
		codes, values := map[uint64]bool{}, map[string]bool{}
		for _, c := range l.Codes {
			if codes[c.Code] || values[c.Value] {
				errs = append(errs, fmt.Errorf("lists: %s: code %d or its value twice", l.ID, c.Code))
			}
			codes[c.Code], values[c.Value] = true, true
		}
	}
	numbers, properties := map[uint64]bool{}, map[string]bool{}
	for _, f := range t.Fields {
		switch {
		case f.No < 4:
			errs = append(errs, fmt.Errorf("fields: %s: numbers begin at 4", f.Property))
		case numbers[f.No] || properties[f.Property]:
			errs = append(errs, fmt.Errorf("fields: %d or %s twice", f.No, f.Property))
		case f.List != "" && !lists[f.List]:
			errs = append(errs, fmt.Errorf("fields: %s: no list %s", f.Property, f.List))
		case t.schema.Properties[f.Property] == nil:
			errs = append(errs, fmt.Errorf("fields: %s is no property of the schema", f.Property))
		}
		numbers[f.No], properties[f.Property] = true, true
	}
	return errs
}

func isWord(s string) bool {
	return s != "" && len(s) <= 40 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// permitFields returns the data that travel in the permit. The data have passed
// the schema.
func (t *Type) permitFields(data map[string]any) (map[uint64]any, error) {
	fields := make(map[uint64]any, len(t.Fields))
	for _, f := range t.Fields {
		v, ok := data[f.Property]
		if !ok {
			continue
		}
		w, err := t.permitValue(f, v)
		if err != nil {
			return nil, err
		}
		fields[f.No] = w
	}
	return fields, nil
}

func (t *Type) permitValue(f Field, v any) (any, error) {
	switch v := v.(type) {
	case string:
		if f.List == "" {
			return v, nil
		}
		for _, l := range t.Lists {
			if l.ID != f.List {
				continue
			}
			if i := slices.IndexFunc(l.Codes, func(c Code) bool { return c.Value == v }); i >= 0 {
				return l.Codes[i].Code, nil
			}
		}
		return nil, errors.New("is none of the list's values")
	case float64:
		if v != float64(int64(v)) {
			return nil, errors.New("want a whole number")
		}
		if v < 0 {
			return int64(v), nil
		}
		return uint64(v), nil
	default:
		return nil, errors.New("want text or a whole number")
	}
}

// Trust returns the type as the trust bundle carries it.
func (t *Type) Trust() trust.Type {
	out := trust.Type{Code: t.Code, ID: t.ID, Names: trust.Names(t.Names), HolderKind: t.Holder,
		Dictionary: []byte(t.Dictionary), MaxStatusAge: int64(t.StatusHours) * 3600}
	for _, f := range t.Fields {
		out.Fields = append(out.Fields, trust.Field{No: f.No, Name: f.Property, Names: trust.Names(f.Names), List: f.List})
	}
	for _, l := range t.Lists {
		list := trust.CodeList{ID: l.ID}
		for _, c := range l.Codes {
			list.Codes = append(list.Codes, trust.Code{Code: c.Code, Value: c.Value, Names: trust.Names(c.Names)})
		}
		out.Lists = append(out.Lists, list)
	}
	return out
}

// dictionary returns the preset dictionary, nil for none.
func (t *Type) dictionary() []byte {
	if t.Dictionary == "" {
		return nil
	}
	return []byte(t.Dictionary)
}
