def greet(greeting, name):
    if not greeting:
        return name
    return f"{greeting}, {name}"
