"""LitServe around the model: python litserve_server.py PORT."""

# No postponed annotations here: LitServe reads the real ones.

import sys

import litserve
from predictor import Predictor, columns_of


class Served(litserve.LitAPI):
    """The model under LitServe's own protocol."""

    def setup(self, device: str) -> None:
        self._predictor = Predictor()

    def decode_request(self, request):
        return columns_of(request)

    def predict(self, x):
        return self._predictor(x)

    def encode_response(self, output):
        return {"predictions": output}


if __name__ == "__main__":
    server = litserve.LitServer(Served(), accelerator="cpu", workers_per_device=1, api_path="/infer")
    server.run(port=int(sys.argv[1]), host="127.0.0.1", num_api_servers=1, generate_client_file=False)
