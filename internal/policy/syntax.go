package policy

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

const (
	// maxBytes bounds a policy's size. Hundreds of services need less; a larger
	// file is something else that was given by mistake.
	maxBytes = 1 << 20
	// maxDepth bounds how deep braces, brackets and quotes are nested. A policy
	// needs five. The parser recurses, and a stack that overflows ends the
	// whole program.
	maxDepth = 32
)

// readFile parses a file as HCL. Even with errors there is a file to print
// lines from.
func readFile(filename string, src []byte) (*hcl.File, hcl.Diagnostics) {
	raw := &hcl.File{Bytes: src}
	if len(src) > maxBytes {
		start := hcl.Range{Filename: filename, Start: hcl.InitialPos, End: hcl.InitialPos}
		return raw, hcl.Diagnostics{problem("Too large for a policy", start,
			"The file has %d bytes, and a policy at most %d. Check that this is the policy file.", len(src), maxBytes)}
	}
	if diag := checkTokens(filename, src); diag != nil {
		return raw, hcl.Diagnostics{diag}
	}
	return hclsyntax.ParseConfig(src, filename, hcl.InitialPos)
}

// checkTokens refuses, before the parser sees it, what would make it recurse
// without bound: deep nesting, and operators, which no policy has.
func checkTokens(filename string, src []byte) *hcl.Diagnostic {
	// Faults of the lexer are the parser's to tell.
	tokens, _ := hclsyntax.LexConfig(src, filename, hcl.InitialPos)
	depth := 0
	for i, token := range tokens {
		switch token.Type {
		case hclsyntax.TokenOBrace, hclsyntax.TokenOBrack, hclsyntax.TokenOParen, hclsyntax.TokenOQuote,
			hclsyntax.TokenOHeredoc, hclsyntax.TokenTemplateInterp, hclsyntax.TokenTemplateControl:
			depth++
		case hclsyntax.TokenCBrace, hclsyntax.TokenCBrack, hclsyntax.TokenCParen, hclsyntax.TokenCQuote,
			hclsyntax.TokenCHeredoc, hclsyntax.TokenTemplateSeqEnd:
			depth = max(0, depth-1)
		case hclsyntax.TokenMinus:
			if tokens[i+1].Type != hclsyntax.TokenNumberLit {
				return notPlain(token.Range)
			}
		case hclsyntax.TokenPlus, hclsyntax.TokenStar, hclsyntax.TokenSlash, hclsyntax.TokenPercent,
			hclsyntax.TokenEqualOp, hclsyntax.TokenNotEqual, hclsyntax.TokenLessThan, hclsyntax.TokenLessThanEq,
			hclsyntax.TokenGreaterThan, hclsyntax.TokenGreaterThanEq, hclsyntax.TokenAnd, hclsyntax.TokenOr,
			hclsyntax.TokenBang, hclsyntax.TokenQuestion:
			return notPlain(token.Range)
		}
		if depth > maxDepth {
			return problem("Nested too deep", token.Range,
				"Braces, brackets and quotes stand in each other more than %d deep. Check for one that isn't closed.", maxDepth)
		}
	}
	return nil
}

// computed returns the part of an expression that is more than a value written
// down: a variable, a call, a template, a for. Nil if there is none.
func computed(expr hcl.Expression) hcl.Expression {
	switch e := expr.(type) {
	case *hclsyntax.LiteralValueExpr:
		return nil
	case *hclsyntax.TemplateExpr:
		for _, part := range e.Parts {
			if _, ok := part.(*hclsyntax.LiteralValueExpr); !ok {
				return part
			}
		}
		return nil
	case *hclsyntax.UnaryOpExpr:
		return computed(e.Val)
	case *hclsyntax.TupleConsExpr:
		for _, part := range e.Exprs {
			if odd := computed(part); odd != nil {
				return odd
			}
		}
		return nil
	case *hclsyntax.ObjectConsExpr:
		return computedItem(e.Items)
	default:
		return expr
	}
}

func computedItem(items []hclsyntax.ObjectConsItem) hcl.Expression {
	for _, item := range items {
		key := item.KeyExpr
		if k, ok := key.(*hclsyntax.ObjectConsKeyExpr); ok && hcl.ExprAsKeyword(k) == "" {
			key = k.Wrapped
		} else if ok {
			key = nil // a bare word
		}
		if key != nil {
			if odd := computed(key); odd != nil {
				return odd
			}
		}
		if odd := computed(item.ValueExpr); odd != nil {
			return odd
		}
	}
	return nil
}

func notPlain(at hcl.Range) *hcl.Diagnostic {
	return problem("Not a plain value", at, "A policy holds plain values: no variables, functions, templates or arithmetic. "+
		"Write the value itself, a string in quotes; for a secret, name the file or the environment variable that holds it.")
}
