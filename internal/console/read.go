package console

import (
	"context"
	"encoding/json/jsontext"
	"encoding/json/v2"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/signet-city/signet/internal/approval"
	"github.com/signet-city/signet/internal/web"
)

var beijing = time.FixedZone("UTC+8", 8*3600)

var (
	textMissing = web.Text{ZH: "此项必填", EN: "This is needed"}
	textChoose  = web.Text{ZH: "请从列表中选择", EN: "Choose one of the list"}
	textHidden  = web.Text{ZH: "含有不可见字符", EN: "It has characters that cannot be seen"}
)

// max returns the field's bound.
func (x Field) max() int {
	switch {
	case x.Max > 0:
		return x.Max
	case x.Type == List:
		return 64
	case x.Type == File:
		return 40 << 10
	default:
		return 500
	}
}

// draw returns the fields of the form with values.
func (a *ask) draw(ctx context.Context, values map[string]string, key string) (web.Form, error) {
	var f web.Form
	for _, x := range a.Fields {
		drawn, err := x.draw(ctx, values[x.Name])
		if err != nil {
			return f, err
		}
		f.Fields = append(f.Fields, drawn)
	}
	f.Fields = append(f.Fields, web.Field{Name: inReason, Type: "textarea", Label: web.Text{ZH: "申请理由", EN: "Reason for the request"}, Required: true,
		Hint: web.Text{ZH: "供其他安全官判断，请勿写入个人姓名或号码，最多 500 字", EN: "For the other officers to judge by. No names or numbers of people. Up to 500 characters"}, Value: values[inReason]},
		web.Field{Name: inKey, Type: "hidden", Value: key})
	return f, nil
}

func (x Field) draw(ctx context.Context, value string) (web.Field, error) {
	f := web.Field{Name: x.Name, Label: x.Label, Hint: x.Hint, Value: value, Required: x.Required}
	if !x.Required {
		f.Label = web.Text{ZH: x.Label.ZH + "（选填）", EN: x.Label.EN + " (optional)"}
	}
	switch x.Type {
	case Words, List:
		f.Type = "textarea"
	case Whole:
		f.InputMode = "numeric"
	case YesNo:
		f.Type, f.Options = "radio", yesNo
	case File:
		f.Type, f.Value = "file", ""
	case Time:
		f.Type = "datetime-local"
		f.Hint = web.Text{ZH: join(x.Hint.ZH, "北京时间", "。"), EN: join(x.Hint.EN, "Beijing time", ". ")}
	case Choice:
		options, err := x.options(ctx)
		if err != nil {
			return f, err
		}
		none := web.Option{Label: web.Text{ZH: "请选择", EN: "Choose one"}}
		if !x.Required {
			none.Label = web.Text{ZH: "不选", EN: "None"}
		}
		f.Type, f.Options = "select", append([]web.Option{none}, options...)
	}
	return f, nil
}

var yesNo = []web.Option{{Value: "true", Label: web.Text{ZH: "是", EN: "Yes"}}, {Value: "false", Label: web.Text{ZH: "否", EN: "No"}}}

func join(before, after, by string) string {
	if before == "" {
		return after
	}
	return before + by + after
}

func (x Field) options(ctx context.Context) ([]web.Option, error) {
	if x.Choices == nil {
		return x.Options, nil
	}
	return x.Choices(ctx)
}

// answered is what was filled in.
type answered struct {
	params map[string]any
	values map[string]string   // as a page shows them again
	wrong  map[string]web.Text // by input
}

// read reads every field of a form that was sent, and finds everything that is
// wrong with it.
func (a *ask) read(r *http.Request, drawn web.Form) (answered, error) {
	got := answered{map[string]any{}, map[string]string{}, map[string]web.Text{}}
	for _, x := range a.Fields {
		if x.Type == File {
			if err := got.readFile(r, x); err != nil {
				return got, err
			}
			continue
		}
		text := strings.TrimSpace(strings.ReplaceAll(r.PostForm.Get(x.Name), "\r\n", "\n"))
		got.values[x.Name] = seen(text)
		switch value, problem := x.value(text, drawn.Field(x.Name).Options); {
		case text == "" && x.Required:
			got.wrong[x.Name] = textMissing
		case text == "":
		case problem != (web.Text{}):
			got.wrong[x.Name] = problem
		default:
			got.params[x.Name] = value
		}
	}
	reason := oneLine(r.PostForm.Get(inReason))
	got.values[inReason] = seen(reason)
	if problem, bad := badReason(reason, approval.MaxReason); bad {
		got.wrong[inReason] = problem
	}
	return got, nil
}

// value returns what a text that is not empty stands for, or what is wrong with it.
func (x Field) value(text string, options []web.Option) (any, web.Text) {
	switch x.Type {
	case List:
		return listOf(text, x.max())
	case Whole:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n > 1<<53-1 || n < -(1<<53-1) {
			return nil, web.Text{ZH: "请填写整数", EN: "Enter a whole number"}
		}
		return n, web.Text{}
	case YesNo, Choice:
		if !slices.ContainsFunc(options, func(o web.Option) bool { return o.Value == text }) {
			return nil, textChoose
		}
		switch {
		case x.Type == YesNo:
			return text == "true", web.Text{}
		case x.Many:
			return []string{text}, web.Text{}
		}
		return text, web.Text{}
	case Time:
		at, err := parseTime(text)
		if err != nil {
			return nil, web.Text{ZH: "请填写日期和时间，例如 2026-11-02 09:30", EN: "Enter a date and a time, such as 2026-11-02 09:30"}
		}
		return at.UTC().Format(time.RFC3339), web.Text{}
	default:
		return text, badText(text, x.max(), x.Type == Words)
	}
}

func badText(text string, most int, lines bool) web.Text {
	switch {
	case utf8.RuneCountInString(text) > most:
		return web.Text{ZH: fmt.Sprintf("最多 %d 个字", most), EN: fmt.Sprintf("Enter at most %d characters", most)}
	case strings.ContainsFunc(text, func(r rune) bool { return hidden(r) && (r != '\n' || !lines) }):
		return textHidden
	}
	return web.Text{}
}

func listOf(text string, most int) (any, web.Text) {
	list := []string{}
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			list = append(list, line)
		}
	}
	switch {
	case len(list) > most:
		return nil, web.Text{ZH: fmt.Sprintf("最多 %d 项", most), EN: fmt.Sprintf("Enter at most %d", most)}
	case strings.ContainsFunc(strings.Join(list, ""), hidden):
		return nil, textHidden
	}
	return list, web.Text{}
}

// parseTime reads what browsers send for a date and time, and what people write
// where there is no such input.
func parseTime(text string) (at time.Time, err error) {
	text = strings.Replace(strings.Join(strings.Fields(text), "T"), "/", "-", 2)
	for _, layout := range []string{"2006-01-02T15:04", "2006-01-02T15:04:05"} {
		if at, err = time.ParseInLocation(layout, text, beijing); err == nil {
			return at, nil
		}
	}
	return at, err
}

func (got *answered) readFile(r *http.Request, x Field) error {
	file, header, err := r.FormFile(x.Name)
	if errors.Is(err, http.ErrMissingFile) || errors.Is(err, http.ErrNotMultipart) || err == nil && header.Size == 0 {
		if x.Required {
			got.wrong[x.Name] = web.Text{ZH: "请选择文件", EN: "Choose a file"}
		}
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	if header.Size > int64(x.max()) {
		got.wrong[x.Name] = web.Text{ZH: fmt.Sprintf("文件不得超过 %d 字节", x.max()), EN: fmt.Sprintf("The file has more than %d bytes", x.max())}
		return nil
	}
	b, err := io.ReadAll(file)
	got.params[x.Name] = b
	return err
}

// encode returns the parameters as JSON.
func (got *answered) encode() (jsontext.Value, error) {
	return json.Marshal(got.params, json.Deterministic(true))
}

// oneLine returns a text as one line: a textarea sends line ends.
func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// badReason says what is wrong with a reason.
func badReason(reason string, most int) (web.Text, bool) {
	if reason == "" {
		return web.Text{ZH: "请填写理由", EN: "Enter a reason"}, true
	}
	problem := badText(reason, most, false)
	return problem, problem != (web.Text{})
}

// hidden reports what does not belong in a line of text: control and format
// characters, and what is no UTF-8.
func hidden(r rune) bool { return r == utf8.RuneError || !unicode.IsGraphic(r) }

// seen is a text that was sent as a page may show it again.
func seen(s string) string {
	return strings.Map(func(r rune) rune {
		if hidden(r) && r != '\n' {
			return -1
		}
		return r
	}, s)
}
