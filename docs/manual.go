// Package docs holds the manual. Its tests compare the manual with the code.
package docs

import _ "embed"

// Operations is operations.md, of which the inspector shows sections.
//
//go:embed operations.md
var Operations string
