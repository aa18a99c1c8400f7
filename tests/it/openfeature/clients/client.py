"""An application that reads one flag by OpenFeature, with the provider that anybody installs: nothing here knows huidu.

    python client.py BASE KEY HOST UNIT…    one line of JSON for each unit: unit, value, variant, reason, error

The default in the code is `code-default`.
"""

import json
import sys

from openfeature import api
from openfeature.contrib.provider.ofrep import OFREPProvider
from openfeature.evaluation_context import EvaluationContext

base, key, host, *units = sys.argv[1:]
api.set_provider(OFREPProvider(base))
client = api.get_client()
for unit in units:
    context = EvaluationContext(targeting_key=unit, attributes={"host": host})
    flag = client.get_string_details(key, "code-default", context)
    said = {"value": flag.value, "variant": flag.variant, "reason": flag.reason, "error": flag.error_code}
    print(json.dumps({"unit": unit, **said}))
