package form

import (
	"errors"
	"slices"

	"github.com/signet-city/signet/internal/web"
	"github.com/signet-city/signet/licenses"
)

// InName is the input for the name of a new firm.
const InName = "name"

// Founding makes the form of somebody who starts a firm: its name and the data of its
// licence, which is of type t, without what the register fills in. It fails as New does,
// and for a property that would share its name with the firm's.
func Founding(t *licenses.Type) (*Form, error) {
	f, err := New(t)
	if err != nil {
		return nil, err
	}
	f = f.ForHolder()
	f.Inputs = slices.DeleteFunc(f.Inputs, func(in Input) bool { return slices.Contains(licenses.FilledIn(), in.Name) })
	if _, taken := f.Find(InName); taken {
		return nil, errors.New("make form: property " + InName + " has the name of the input for the firm's name")
	}
	f.name = &Input{Name: InName, kind: text, required: true, Label: web.Text{ZH: "企业名称", EN: "Name of the firm"},
		hint: web.Text{ZH: "最多 120 个字，含行政区划、字号、行业和组织形式，例如“江城湖畔小馆餐饮有限公司”", EN: "Up to 120 characters, as it is to stand on the business licence"}}
	return f, nil
}
