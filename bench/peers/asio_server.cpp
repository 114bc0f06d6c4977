/* SPDX-License-Identifier: MIT */

/*
 * What another callback library costs: the echo server of raw_epoll.c, written with Boost.Asio.
 *
 * `asio_server echo PORT` sends back what it read. Written as Asio is meant to be used for speed: one
 * thread, told so, so that it takes no locks; non-blocking writes first, an asynchronous one only
 * for what the socket did not take; handlers that allocate nothing.
 */
#define BOOST_ASIO_DISABLE_THREADS 1
#include <boost/asio.hpp>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

namespace asio = boost::asio;
using asio::ip::tcp;

namespace
{

constexpr std::size_t read_size = 64 * 1024;
constexpr int backlog = 4096;

std::array<char, read_size> buffer; /* one for all: a read is consumed before the next one begins */

class connection : public std::enable_shared_from_this<connection>
{
public:
    explicit connection(tcp::socket socket) : socket_(std::move(socket))
    {
        socket_.set_option(tcp::no_delay(true));
        socket_.non_blocking(true);
    }

    /* Waits for readiness instead of lending a buffer: an idle connection holds none. */
    void start()
    {
        socket_.async_wait(tcp::socket::wait_read,
                           [self = shared_from_this()](const boost::system::error_code &error) {
                               if (!error)
                                   self->read();
                           });
    }

private:
    void read()
    {
        boost::system::error_code error;
        std::size_t n = socket_.read_some(asio::buffer(buffer), error);
        if (error == asio::error::would_block)
            start();
        else if (!error)
            write(n);
    }

    void write(std::size_t size)
    {
        boost::system::error_code error;
        std::size_t sent = socket_.write_some(asio::buffer(buffer.data(), size), error);
        if (error == asio::error::would_block)
            sent = 0;
        else if (error)
            return;
        if (sent == size) {
            start();
            return;
        }
        rest_.assign(buffer.data() + sent, size - sent);
        asio::async_write(socket_, asio::buffer(rest_),
                          [self = shared_from_this()](const boost::system::error_code &failed,
                                                      std::size_t) {
                              if (!failed)
                                  self->start();
                          });
    }

    tcp::socket socket_;
    std::string rest_;
};

void accept(tcp::acceptor &acceptor)
{
    acceptor.async_accept([&acceptor](const boost::system::error_code &error, tcp::socket socket) {
        if (!error)
            std::make_shared<connection>(std::move(socket))->start();
        accept(acceptor);
    });
}

} /* namespace */

int main(int argc, char **argv)
{
    if (argc != 3 || std::string(argv[1]) != "echo") {
        std::fprintf(stderr, "asio_server echo PORT\n");
        return 1;
    }
    asio::io_context context(1);
    tcp::endpoint at(asio::ip::address_v4::loopback(),
                     static_cast<unsigned short>(std::atoi(argv[2])));
    tcp::acceptor acceptor(context);
    acceptor.open(at.protocol());
    acceptor.set_option(tcp::acceptor::reuse_address(true));
    acceptor.bind(at);
    acceptor.listen(backlog);
    accept(acceptor);
    context.run();
    return 0;
}
