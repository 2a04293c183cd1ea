// Print what cameras show: subscriber tcp://127.0.0.1:5555 [CAMERA]
// Debian: apt install g++ cppzmq-dev nlohmann-json3-dev
// g++ -std=c++17 -O2 examples/subscriber.cpp -o subscriber -lzmq
#include <iostream>
#include <nlohmann/json.hpp>
#include <zmq.hpp>
#include <zmq_addon.hpp>

int main(int count, char** arguments) {
  const std::string camera = count > 2 ? std::string(arguments[2]) + "/" : "";
  zmq::context_t context;
  zmq::socket_t socket(context, zmq::socket_type::sub);
  socket.set(zmq::sockopt::rcvhwm, 4);
  socket.set(zmq::sockopt::subscribe, "frame/" + camera);
  socket.connect(arguments[1]);
  for (std::vector<zmq::message_t> parts; zmq::recv_multipart(socket, std::back_inserter(parts)); parts.clear()) {
    const auto header = nlohmann::json::parse(parts.at(1).to_string_view());
    const auto shape = header.at("shape");  // height, width, 3
    const auto* pixels = parts.at(2).data<unsigned char>();  // codec raw: RGB, row by row
    const std::size_t bytes = parts.at(2).size();
    std::cout << header.at("camera").get<std::string>() << " " << header.at("seq") << ": " << shape[1] << "x"
              << shape[0] << ", derained " << header.at("derained") << ", first pixel " << (bytes ? pixels[0] : -1)
              << ", " << bytes << " bytes" << std::endl;
  }
}
