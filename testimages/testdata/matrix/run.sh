set -e
for test in test_money test_price test_command test_batch; do
	python -m unittest small.test_small.TestShop.$test
done
