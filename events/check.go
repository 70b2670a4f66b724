package events

import "natsrooms/subjects"

// contradiction says what is impossible about a fact, or "" if nothing is. Code that
// folds facts relies on it.
func (f *Fact) contradiction() string {
	created := f.Type == RoomCreated
	if f.ID == "" || f.InstanceID == "" || f.Sequence == 0 || created != (f.Sequence == 1) || created && f.Info == nil {
		return "the id, instance, room or sequence is missing or wrong"
	}
	switch f.Type {
	case RoomCreated:
		if o := &f.Ownership; o.Owners != nil || o.DeleteAfterOwnerLeft != nil {
			if why := o.contradiction(f.Info.Attributes); why != "" {
				return why
			}
		}
	case MemberJoined, SessionJoined:
		if len(f.Joined) == 0 {
			return "nobody joined"
		}
	case MemberLeft, SessionLeft:
		if len(f.Left) == 0 {
			return "nobody left"
		}
	case RoomAttributesChanged:
		for _, k := range f.Delete {
			if _, ok := f.Set[k]; ok {
				return "an attribute is both set and deleted"
			}
		}
		return f.Ownership.contradiction(f.Set)
	case MemberAttributesChanged:
		if len(f.Infos) == 0 {
			return "attributes of nobody"
		}
	case MemberUpdated:
		if len(f.Updates) == 0 {
			return "nobody was updated"
		}
	}
	for i := range f.Joined {
		if !within(f.Joined[i].DeleteAfterOwnerLeft, f.Joined[i].Attributes) {
			return "deleteAfterOwnerLeft names an attribute that the member does not have"
		}
	}
	return ""
}

// contradiction checks an ownership against the attributes it describes.
func (o *Ownership) contradiction(attributes map[string]string) string {
	if len(o.Owners) != len(attributes) {
		return "owners and attributes do not have the same keys"
	}
	for k, id := range o.Owners {
		if _, ok := attributes[k]; !ok {
			return "owners names a key that is not set"
		}
		if id != nil {
			if _, err := subjects.ParseUser(*id); err != nil {
				return "an owner's ID " + err.Error()
			}
		}
	}
	if !within(o.DeleteAfterOwnerLeft, attributes) {
		return "deleteAfterOwnerLeft names a key that is not set"
	}
	return ""
}

// within reports whether all keys are among the attributes, none of them twice.
func within(keys []string, attributes map[string]string) bool {
	seen := make(map[string]struct{}, len(keys))
	for _, k := range keys {
		if _, ok := attributes[k]; !ok {
			return false
		}
		seen[k] = struct{}{}
	}
	return len(seen) == len(keys)
}
