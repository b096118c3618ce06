import os

import colorama

from greeter import greet

print(colorama.Fore.GREEN + greet(os.environ["GREETING"], "world") + colorama.Fore.RESET)
print(greet("", "nobody"))
