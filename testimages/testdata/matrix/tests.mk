test:
	python -m unittest small/test_small.py
