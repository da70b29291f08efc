package verify

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/signet-city/signet/verify/trust"
)

// shanghai is Asia/Shanghai, which has had no summer time since 1991: no table of
// zones is needed.
var shanghai = time.FixedZone("CST", 8*3600)

// Names of what every permit says.
var (
	namesType       = trust.Names{ZH: "证照类型", EN: "Type of licence"}
	namesIssuer     = trust.Names{ZH: "签发机关", EN: "Issued by"}
	namesNumber     = trust.Names{ZH: "编号", EN: "Number"}
	namesHolder     = trust.Names{ZH: "持有人", EN: "Holder"}
	namesUSCC       = trust.Names{ZH: "统一社会信用代码", EN: "Unified social credit code"}
	namesDocument   = trust.Names{ZH: "证件号码", EN: "Identity number, masked"}
	namesIssuedOn   = trust.Names{ZH: "签发日期", EN: "Issued on"}
	namesValidFrom  = trust.Names{ZH: "有效期起", EN: "Valid from"}
	namesValidUntil = trust.Names{ZH: "有效期至", EN: "Valid until"}
)

// licenceType is a type of the bundle, indexed.
type licenceType struct {
	*trust.Type
	fields map[uint64]*trust.Field
	codes  map[string]map[uint64]*trust.Code
}

func newLicenceType(t *trust.Type) *licenceType {
	l := &licenceType{
		Type:   t,
		fields: make(map[uint64]*trust.Field, len(t.Fields)),
		codes:  make(map[string]map[uint64]*trust.Code, len(t.Lists)),
	}
	for i := range t.Fields {
		l.fields[t.Fields[i].No] = &t.Fields[i]
	}
	for _, list := range t.Lists {
		codes := make(map[uint64]*trust.Code, len(list.Codes))
		for i := range list.Codes {
			codes[list.Codes[i].Code] = &list.Codes[i]
		}
		l.codes[list.ID] = codes
	}
	return l
}

// fields returns what the permit says, in the order in which a person reads it.
func (c *check) fields() []Field {
	id := namesUSCC
	if c.typ.HolderKind == trust.HolderPerson {
		id = namesDocument
	}
	fields := make([]Field, 0, 9+len(c.p.Fields))
	fields = append(fields,
		Field{"type", namesType, c.typ.ID, c.typ.Names},
		Field{"issuer", namesIssuer, c.key.agency.ID, c.key.agency.Names},
		Field{Name: "number", Names: namesNumber, Value: c.p.Number},
		Field{Name: "holder", Names: namesHolder, Value: c.p.HolderName},
		Field{Name: "holder_id", Names: id, Value: c.p.HolderID},
		Field{Name: "issued_on", Names: namesIssuedOn, Value: time.Unix(c.p.IssuedAt, 0).In(shanghai).Format(time.DateOnly)},
		Field{Name: "valid_from", Names: namesValidFrom, Value: firstDay(c.p.NotBefore)},
		Field{Name: "valid_until", Names: namesValidUntil, Value: lastDay(c.p.Expires)},
	)
	for _, no := range slices.Sorted(maps.Keys(c.p.Fields)) {
		fields = append(fields, c.typ.field(no, c.p.Fields[no]))
	}
	return fields
}

// field names one field. What the bundle does not know yet is shown by its
// number: fields and codes are only ever added.
func (l *licenceType) field(no uint64, value any) Field {
	f := Field{Name: strconv.FormatUint(no, 10), Value: text(value)}
	known, ok := l.fields[no]
	if !ok {
		return f
	}
	f.Name, f.Names = known.Name, known.Names
	code, ok := value.(uint64)
	if !ok || known.List == "" {
		return f
	}
	if c, ok := l.codes[known.List][code]; ok {
		f.Value, f.ValueNames = c.Value, c.Names
	}
	return f
}

// text writes one of the three kinds of value that package permit returns.
func text(value any) string {
	switch v := value.(type) {
	case uint64:
		return strconv.FormatUint(v, 10)
	case int64:
		return strconv.FormatInt(v, 10)
	}
	s, _ := value.(string)
	return s
}

// firstDay writes a beginning: a day when it is 00:00 in Shanghai, else the time.
func firstDay(unix int64) string {
	t := time.Unix(unix, 0).In(shanghai)
	if midnight(t) {
		return t.Format(time.DateOnly)
	}
	return t.Format(time.RFC3339)
}

// lastDay writes an end: the last day when it is 24:00 in Shanghai, else the time.
func lastDay(unix int64) string {
	t := time.Unix(unix, 0).In(shanghai)
	if midnight(t) {
		return t.AddDate(0, 0, -1).Format(time.DateOnly)
	}
	return t.Format(time.RFC3339)
}

func midnight(t time.Time) bool { return t.Hour() == 0 && t.Minute() == 0 && t.Second() == 0 }
