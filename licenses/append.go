package licenses

import (
	"fmt"
	"slices"

	"github.com/signet-city/signet/internal/fault"
)

// follows says, every problem at once, why t cannot come after old as the next
// version of one type: permits in people's pockets, and verifiers with a bundle of
// then or now, go by codes, numbers and dictionary. Names, bounds of the schema,
// years, review and how old a status may be can change; there can be more fields, codes
// and lists.
func (t *Type) follows(old *Type) (problems []fault.Problem) {
	same := func(path, what string, is bool) {
		if !is {
			problems = append(problems, fault.Problem{Path: path, Message: what + " cannot change: permits carry it"})
		}
	}
	same("/code", "the code", t.Code == old.Code)
	same("/identifier", "the identifier", t.Identifier == old.Identifier)
	same("/holder", "the kind of holder", t.Holder == old.Holder)
	same("/number_prefix", "the number's prefix", t.NumberPrefix == old.NumberPrefix)
	same("/dictionary", "a dictionary", old.Dictionary == "" || t.Dictionary == old.Dictionary)
	for _, f := range old.Fields {
		path := fmt.Sprintf("/fields/%d", f.No)
		i := slices.IndexFunc(t.Fields, func(n Field) bool { return n.No == f.No })
		if i < 0 {
			problems = append(problems, fault.Problem{Path: path, Message: "a field cannot be taken away: permits carry its number"})
			continue
		}
		same(path+"/property", "the property of a field", t.Fields[i].Property == f.Property)
		same(path+"/list", "the code list of a field", t.Fields[i].List == f.List)
	}
	for _, l := range old.Lists {
		problems = append(problems, t.followsList(l)...)
	}
	return problems
}

func (t *Type) followsList(old CodeList) (problems []fault.Problem) {
	path := "/lists/" + old.ID
	i := slices.IndexFunc(t.Lists, func(l CodeList) bool { return l.ID == old.ID })
	if i < 0 {
		return []fault.Problem{{Path: path, Message: "a code list cannot be taken away: permits carry its codes"}}
	}
	for _, c := range old.Codes {
		j := slices.IndexFunc(t.Lists[i].Codes, func(n Code) bool { return n.Code == c.Code })
		switch {
		case j < 0:
			problems = append(problems, fault.Problem{Path: fmt.Sprintf("%s/%d", path, c.Code), Message: "a code cannot be taken away: permits carry it"})
		case t.Lists[i].Codes[j].Value != c.Value:
			problems = append(problems, fault.Problem{Path: fmt.Sprintf("%s/%d/value", path, c.Code), Message: "the value of a code cannot change: permits carry the code"})
		}
	}
	return problems
}
