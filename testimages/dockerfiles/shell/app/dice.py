class Dice:
    def __init__(self, seed):
        self.state = seed

    def roll(self):
        self.state = (self.state * 1103515245 + 12345) % 2**31
        face = self.state % 6 + 1
        if face == 6:
            return "six"
        return str(face)
