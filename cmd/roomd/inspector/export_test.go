package inspector

// Streams is how many streams are open.
func (i *Inspector) Streams() int {
	i.sessions.mu.Lock()
	defer i.sessions.mu.Unlock()
	return i.sessions.all
}

// Anchor is the section of the manual about a problem.
func Anchor(name string, unfit bool) string { return anchor(name, unfit) }
