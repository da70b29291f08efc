package licenses

import (
	"errors"
	"fmt"
	"math/big"
	"strings"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/santhosh-tekuri/jsonschema/v6/kind"

	"github.com/signet-city/signet/internal/fault"
	"github.com/signet-city/signet/internal/web"
)

// Problem is one thing that is wrong with a request, told in both languages. Text
// goes on after the name of what Path points to and repeats no value: it may be
// personal.
type Problem struct {
	Path string // JSON pointer into the request, such as /data/seats
	Text web.Text
}

// Problems returns what is wrong with a request by an error of Check or Issue,
// nil if the error does not say.
func Problems(err error) []Problem {
	r, ok := errors.AsType[*refusal](err)
	if !ok {
		return nil
	}
	return r.problems
}

// refusal is a fault whose problems are kept in both languages.
type refusal struct {
	error
	problems []Problem
}

// Unwrap returns the fault.
func (r *refusal) Unwrap() error { return r.error }

// refuse returns a fault of kind Invalid; programs read the English half of its
// problems.
func refuse(public string, problems ...Problem) error {
	plain := make([]fault.Problem, len(problems))
	for i, p := range problems {
		plain[i] = fault.Problem{Path: p.Path, Message: p.Text.EN}
	}
	return &refusal{fault.InvalidInput(public, plain...), problems}
}

// text formats one sentence in both languages from the same arguments.
func text(zh, en string, args ...any) web.Text {
	return web.Text{ZH: fmt.Sprintf(zh, args...), EN: fmt.Sprintf(en, args...)}
}

const maxProblems = 100

// schemaProblems lists every leaf of a schema error.
func schemaProblems(err error) []Problem {
	v, ok := errors.AsType[*jsonschema.ValidationError](err)
	if !ok {
		return []Problem{{"/data", text("不符合要求", "does not fit the schema")}}
	}
	var problems []Problem
	var walk func(*jsonschema.ValidationError)
	walk = func(e *jsonschema.ValidationError) {
		if len(problems) >= maxProblems {
			return
		}
		if missing, ok := e.ErrorKind.(*kind.Required); ok {
			for _, name := range missing.Missing {
				problems = append(problems, Problem{pointer(e.InstanceLocation) + pointerStep(name), text("为必填项", "is missing")})
			}
		} else if len(e.Causes) == 0 {
			problems = append(problems, Problem{pointer(e.InstanceLocation), explain(e.ErrorKind)})
		}
		for _, c := range e.Causes {
			walk(c)
		}
	}
	walk(v)
	return problems
}

func pointer(path []string) string {
	var b strings.Builder
	b.WriteString("/data")
	for _, p := range path {
		b.WriteString(pointerStep(p))
	}
	return b.String()
}

// pointerStep escapes one member of a JSON pointer, RFC 6901 section 3.
func pointerStep(name string) string {
	return "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

// jsonTypes are JSON Schema's types in Chinese.
var jsonTypes = map[string]string{"string": "文字", "integer": "整数", "number": "数字", "boolean": "是或否", "array": "列表", "object": "对象", "null": "空值"}

func explain(k jsonschema.ErrorKind) web.Text {
	switch k := k.(type) {
	case *kind.AdditionalProperties:
		return text("含有 %d 个未知项目", "has %d members that the type does not know", len(k.Properties))
	case *kind.Type:
		return explainType(k.Want)
	case *kind.Enum, *kind.Const:
		return text("须从所列选项中选择", "must be one of the allowed values")
	case *kind.Pattern:
		return web.Text{ZH: "格式不正确", EN: "does not match the pattern " + k.Want}
	case *kind.Format:
		if k.Want == "date" {
			return text("须为有效日期，例如 2027-01-31", "must be a date such as 2027-01-31")
		}
		return web.Text{ZH: "格式不正确", EN: "is no " + k.Want}
	case *kind.MinLength:
		if k.Want == 1 {
			return text("不能为空", "must not be empty")
		}
		return text("不得少于 %d 个字", "must have at least %d characters", k.Want)
	case *kind.MaxLength:
		return text("不得超过 %d 个字", "must have at most %d characters", k.Want)
	default:
		return explainNumber(k)
	}
}

func explainType(want []string) web.Text {
	zh := make([]string, len(want))
	for i, w := range want {
		zh[i] = jsonTypes[w]
	}
	return web.Text{ZH: "须为" + strings.Join(zh, "或"), EN: "must be of type " + strings.Join(want, " or ")}
}

func explainNumber(k jsonschema.ErrorKind) web.Text {
	switch k := k.(type) {
	case *kind.Minimum:
		return text("不得小于 %s", "must be at least %s", decimal(k.Want))
	case *kind.Maximum:
		return text("不得大于 %s", "must be at most %s", decimal(k.Want))
	case *kind.ExclusiveMinimum:
		return text("须大于 %s", "must be over %s", decimal(k.Want))
	case *kind.ExclusiveMaximum:
		return text("须小于 %s", "must be under %s", decimal(k.Want))
	case *kind.MultipleOf:
		return text("须为 %s 的整数倍", "must be a multiple of %s", decimal(k.Want))
	default:
		return web.Text{ZH: "不符合要求", EN: "breaks the rule " + strings.Join(k.KeywordPath(), "/")}
	}
}

// decimal writes a bound without needless zeros.
func decimal(r *big.Rat) string {
	if r.IsInt() {
		return r.Num().String()
	}
	return strings.TrimRight(r.FloatString(6), "0")
}
