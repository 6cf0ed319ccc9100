package main

import (
	"github.com/hashicorp/terraform-plugin-framework/attr"
	"github.com/hashicorp/terraform-plugin-framework/types"
)

// textList makes a list of strings, which can't fail.
func textList(all []string) types.List {
	values := make([]attr.Value, len(all))
	for i, s := range all {
		values[i] = types.StringValue(s)
	}
	return types.ListValueMust(types.StringType, values)
}

// textMap makes a map of strings, which can't fail.
func textMap(all map[string]string) types.Map {
	values := make(map[string]attr.Value, len(all))
	for key, s := range all {
		values[key] = types.StringValue(s)
	}
	return types.MapValueMust(types.StringType, values)
}
