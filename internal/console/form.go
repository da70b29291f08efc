package console

import (
	"context"
	"fmt"
	"slices"

	"github.com/signet-city/signet/internal/approval"
	"github.com/signet-city/signet/internal/keys"
	"github.com/signet-city/signet/internal/web"
)

// Type is how a field of a request is asked for, and what it becomes in the
// parameters.
type Type string

// The types.
const (
	Line   Type = ""       // a line of text: a string
	Words  Type = "words"  // some lines of text: a string
	List   Type = "list"   // one entry on each line: an array of strings
	Whole  Type = "whole"  // a number: an integer
	YesNo  Type = "yes-no" // true or false
	Choice Type = "choice" // one of the options: a string
	Time   Type = "time"   // a time of day in Beijing: a string of RFC 3339
	File   Type = "file"   // the file's bytes: a string in base64
)

// Field is one parameter of a request.
type Field struct {
	Name     string // of the parameter: lowercase letters, digits and underscores
	Type     Type
	Label    web.Text
	Hint     web.Text
	Required bool // one that is not and was left empty is no member of the parameters
	Many     bool // of Choice: the parameter is an array, of the one that was chosen
	Max      int  // characters of a text, entries of a list, bytes of a file; 0 is 500, 64 and 40 kB

	Options []web.Option                                    // of Choice
	Choices func(ctx context.Context) ([]web.Option, error) // of Choice: options that change
}

// Form is how the parameters of one kind of request are asked for.
type Form struct {
	Kind   string   // of an operation of the approvals
	Title  web.Text // empty for that of the operation
	Hint   web.Text // stands above the form
	Fields []Field

	// ForKey offers the form on a key's page and says what the fields hold then, by
	// their names. It reports false for a key that the request cannot be about. Nil
	// offers it for none.
	ForKey func(k keys.Key) (values map[string]string, ok bool)
}

// ask is a form with its title.
type ask struct {
	Form
	address string
}

// Inputs that every form has besides its own. Parameters have no hyphen.
const (
	inReason = "request-reason"
	inKey    = "request-key"
)

// asks returns the forms: those of Options and, for the officers' own operations that
// are not among them, the console's.
func (c *Console) asks() ([]*ask, error) {
	kinds := map[string]web.Text{}
	for _, k := range c.o.Approvals.Kinds() {
		kinds[k.Kind] = k.Title
	}
	forms := slices.Clone(c.o.Forms)
	for _, own := range c.ownForms() {
		if !slices.ContainsFunc(forms, func(f Form) bool { return f.Kind == own.Kind }) {
			forms = append(forms, own)
		}
	}
	var list []*ask
	for _, f := range forms {
		title, known := kinds[f.Kind]
		if !known {
			return nil, fmt.Errorf("new console: form %q: there is no such operation", f.Kind)
		}
		delete(kinds, f.Kind) // a second one of the kind is not known
		if f.Title == (web.Text{}) {
			f.Title = title
		}
		if err := f.check(); err != nil {
			return nil, fmt.Errorf("new console: form %s: %w", f.Kind, err)
		}
		list = append(list, &ask{f, "/security/requests/new/" + f.Kind})
	}
	return list, nil
}

func (f Form) check() error {
	seen := map[string]bool{}
	for _, x := range f.Fields {
		switch {
		case !isParameter(x.Name) || seen[x.Name]:
			return fmt.Errorf("field %q: the name is not of lowercase letters, digits and underscores, or is given twice", x.Name)
		case x.Label.ZH == "" || x.Label.EN == "":
			return fmt.Errorf("field %s: the label is missing", x.Name)
		case (x.Type == Choice) != (len(x.Options) > 0 || x.Choices != nil):
			return fmt.Errorf("field %s: options belong to a choice", x.Name)
		case !slices.Contains([]Type{Line, Words, List, Whole, YesNo, Choice, Time, File}, x.Type):
			return fmt.Errorf("field %s: no type %q", x.Name, x.Type)
		}
		seen[x.Name] = true
	}
	return nil
}

func isParameter(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// findAsk returns the form of a kind, nil if it is not offered.
func (c *Console) findAsk(kind string) *ask {
	i := slices.IndexFunc(c.forms, func(a *ask) bool { return a.Kind == kind })
	if i < 0 {
		return nil
	}
	return c.forms[i]
}

// hasFile reports whether the form must be sent as parts.
func (f Form) hasFile() bool {
	return slices.ContainsFunc(f.Fields, func(x Field) bool { return x.Type == File })
}

// ownForms are those of the operations on the officers themselves.
func (c *Console) ownForms() []Form {
	officer := Field{Name: "person", Type: Choice, Label: web.Text{ZH: "安全官", EN: "Officer"}, Required: true, Choices: c.officerChoices}
	return []Form{
		{Kind: approval.KindAdd, Hint: web.Text{ZH: "新任安全官须已在登记簿中。批准后，批准人领取一次性登记码，当面交给本人。",
			EN: "The new officer is in the registry already. The officer who approves draws a one-time code and hands it over in person."},
			Fields: []Field{{Name: "person", Label: web.Text{ZH: "登记簿编号", EN: "Id in the registry"}, Required: true, Max: 26,
				Hint: web.Text{ZH: "26 个字符，由登记部门提供", EN: "26 characters, from those who keep the registry"}}}},
		{Kind: approval.KindRemove, Hint: web.Text{ZH: "撤销后，其全部批准凭据立即失效。安全官不得少于三名。",
			EN: "All of their approval credentials end at once. There are at least three officers."}, Fields: []Field{officer}},
		{Kind: approval.KindEnrol, Hint: web.Text{ZH: "本人不能申请或批准自己的凭据：须由另外两名安全官办理。",
			EN: "Nobody asks for or approves a credential of their own: it takes two others."},
			Fields: []Field{officer, {Name: "remove", Type: Choice, Many: true, Label: web.Text{ZH: "同时移除的凭据", EN: "Credential to remove at the same time"},
				Hint: web.Text{ZH: "更换遗失或损坏的凭据时选择", EN: "To replace one that is lost or broken"}, Choices: c.credentialChoices}}},
		{Kind: approval.KindQuorum, Hint: web.Text{ZH: "离线密钥只用于在无法由两名安全官办理时更换全部安全官。",
			EN: "The offline keys serve one thing: to replace all officers when no two of them can act."},
			Fields: []Field{
				{Name: "keys", Type: List, Required: true, Label: web.Text{ZH: "离线密钥的公钥", EN: "Public keys kept offline"},
					Hint: web.Text{ZH: "每行一个，base64 编码的 DER（SubjectPublicKeyInfo）", EN: "One on each line, DER (SubjectPublicKeyInfo) in base64"}},
				{Name: "need", Type: Whole, Required: true, Label: web.Text{ZH: "所需签名数", EN: "Signatures needed"}, Hint: web.Text{ZH: "至少 2", EN: "At least 2"}}}},
	}
}

func (c *Console) officerChoices(ctx context.Context) ([]web.Option, error) {
	return c.choices(ctx, func(o approval.Officer, name string) []web.Option {
		return []web.Option{{Value: o.Person, Label: plain(name)}}
	})
}

func (c *Console) credentialChoices(ctx context.Context) ([]web.Option, error) {
	return c.choices(ctx, func(o approval.Officer, name string) (list []web.Option) {
		for _, k := range o.Credentials {
			what := credentialWords[k.Kind]
			list = append(list, web.Option{Value: k.ID, Label: web.Text{ZH: name + "：" + what.ZH + " " + k.Name + " " + k.Key[:8],
				EN: name + ": " + what.EN + " " + k.Name + " " + k.Key[:8]}})
		}
		return list
	})
}

// choices lists something of every officer.
func (c *Console) choices(ctx context.Context, of func(o approval.Officer, name string) []web.Option) (list []web.Option, err error) {
	officers, err := c.o.Approvals.Officers(ctx)
	if err != nil {
		return nil, err
	}
	n := c.names()
	for _, o := range officers {
		name, err := n.of(ctx, o.Person)
		if err != nil {
			return nil, err
		}
		list = append(list, of(o, name)...)
	}
	return list, nil
}
