package policy

import (
	"fmt"
	"reflect"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// kind is a CEL object type with a fixed set of fields, so that a misspelt field is refused when a policy is compiled.
type kind struct {
	celType *types.Type
	names   []string
	fields  map[string]field
}

type field struct {
	index   int
	celType *types.Type
	check   func(literal string) error // what a literal compared with the field must be like, if anything
}

func newKind(name string, fields ...namedField) *kind {
	k := &kind{
		celType: types.NewObjectType(name, traits.FieldTesterType|traits.IndexerType),
		fields:  make(map[string]field, len(fields)),
	}
	for i, f := range fields {
		k.names = append(k.names, f.name)
		k.fields[f.name] = field{index: i, celType: f.celType, check: f.check}
	}
	return k
}

type namedField struct {
	name    string
	celType *types.Type
	check   func(string) error
}

// object is a value of a kind. Its values stand in the order of the kind's fields.
type object struct {
	kind   *kind
	values []ref.Val
}

func (k *kind) object(values ...ref.Val) *object {
	if len(values) != len(k.names) {
		panic("policy: " + k.celType.TypeName() + " has another number of fields")
	}
	return &object{kind: k, values: values}
}

// Get returns the field of that name.
func (o *object) Get(name ref.Val) ref.Val {
	f, err := o.find(name)
	if err != nil {
		return err
	}
	return o.values[f.index]
}

// IsSet says whether the field of that name has another value than its type's zero.
func (o *object) IsSet(name ref.Val) ref.Val {
	f, err := o.find(name)
	if err != nil {
		return err
	}
	return types.Bool(isSet(o.values[f.index]))
}

func (o *object) find(name ref.Val) (field, ref.Val) {
	s, ok := name.(types.String)
	if !ok {
		return field{}, types.MaybeNoSuchOverloadErr(name)
	}
	f, ok := o.kind.fields[string(s)]
	if !ok {
		return field{}, types.NewErr("no such field: %s", s)
	}
	return f, nil
}

// ConvertToNative is needed by ref.Val; nothing leaves CEL but a bool.
func (o *object) ConvertToNative(t reflect.Type) (any, error) {
	return nil, fmt.Errorf("%s cannot become %v", o.Type().TypeName(), t)
}

// ConvertToType tells the type; an object becomes nothing else.
func (o *object) ConvertToType(t ref.Type) ref.Val {
	if t == types.TypeType {
		return o.kind.celType
	}
	return types.NewErr("%s cannot become %s", o.Type().TypeName(), t.TypeName())
}

// Equal compares by kind and value.
func (o *object) Equal(other ref.Val) ref.Val {
	p, ok := other.(*object)
	if !ok || p.kind != o.kind {
		return types.False
	}
	for i, v := range o.values {
		if v.Equal(p.values[i]) != types.True {
			return types.False
		}
	}
	return types.True
}

// Type returns the kind's type.
func (o *object) Type() ref.Type { return o.kind.celType }

// Value returns the object itself: field access starts from it.
func (o *object) Value() any { return o }

func isSet(v ref.Val) bool {
	z, ok := v.(traits.Zeroer)
	return !ok || !z.IsZeroValue()
}

// provider adds the kinds to CEL's own types.
type provider struct {
	*types.Registry
	kinds map[string]*kind
}

func newProvider(kinds ...*kind) (*provider, error) {
	reg, err := types.NewRegistry()
	if err != nil {
		return nil, err
	}
	p := &provider{Registry: reg, kinds: make(map[string]*kind, len(kinds))}
	for _, k := range kinds {
		p.kinds[k.celType.TypeName()] = k
	}
	return p, nil
}

// FindStructType returns the type of a kind.
func (p *provider) FindStructType(name string) (*types.Type, bool) {
	if k, ok := p.kinds[name]; ok {
		return types.NewTypeTypeWithParam(k.celType), true
	}
	return p.Registry.FindStructType(name)
}

// FindStructFieldNames returns the names of a kind's fields.
func (p *provider) FindStructFieldNames(name string) ([]string, bool) {
	if k, ok := p.kinds[name]; ok {
		return k.names, true
	}
	return p.Registry.FindStructFieldNames(name)
}

// FindStructFieldType returns a field's type and how to read it.
func (p *provider) FindStructFieldType(name, fieldName string) (*types.FieldType, bool) {
	k, ok := p.kinds[name]
	if !ok {
		return p.Registry.FindStructFieldType(name, fieldName)
	}
	f, ok := k.fields[fieldName]
	if !ok {
		return nil, false
	}
	return &types.FieldType{
		Type: f.celType,
		IsSet: func(target any) bool {
			o, ok := target.(*object)
			return ok && isSet(o.values[f.index])
		},
		GetFrom: func(target any) (any, error) {
			o, ok := target.(*object)
			if !ok {
				return nil, fmt.Errorf("%T is no %s", target, name)
			}
			return o.values[f.index], nil
		},
	}, true
}
